# The two colours. `ovenbird swap` edits these values, one step at a time; before the first swap both hold the image that serves.
# Not read by Terraform itself: terraform plan -var-file=variables.tfvars
# The id is the local EC2's Debian 12, the same in each run; it serves nothing: put the one that a build made.
blue_ami_id    = "ami-008355b476f044f6f"
blue_min_size  = "2"
blue_max_size  = "4"
blue_elb_name  = "elb-prd"
green_ami_id   = "ami-008355b476f044f6f"
green_min_size = "0"
green_max_size = "0"
green_elb_name = "elb-test"
