# The two colours. `ovenbird swap` edits these values, one step at a time; before the first swap both hold the image that serves.
# Not read by Terraform itself: terraform plan -var-file=variables.tfvars
blue_ami_id    = "ami-0123456789abcdef0"
blue_min_size  = "2"
blue_max_size  = "4"
blue_elb_name  = "elb-prd"
green_ami_id   = "ami-0123456789abcdef0"
green_min_size = "0"
green_max_size = "0"
green_elb_name = "elb-test"
