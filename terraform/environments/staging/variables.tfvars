# The two colours. `ovenbird swap` edits these values, one step at a time; before the first swap both hold the image that serves.
# Not read by Terraform itself: terraform plan -var-file=variables.tfvars
blue_ami_id    = "ami-0fedcba9876543210"
blue_min_size  = "1"
blue_max_size  = "2"
blue_elb_name  = "elb-stg"
green_ami_id   = "ami-0fedcba9876543210"
green_min_size = "0"
green_max_size = "0"
green_elb_name = "elb-stg-test"
