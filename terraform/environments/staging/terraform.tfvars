# What is the same from one swap to the next. All ids are placeholders: put yours.
region              = "ap-northeast-1"
environment         = "staging"
subnet_ids          = ["subnet-0fedcba9876543210", "subnet-0fedcba9876543211"]
security_group_ids  = ["sg-0fedcba9876543210"]
instance_profile    = "staging-web"
codedeploy_role_arn = "arn:aws:iam::123456789012:role/staging-codedeploy"

variables = {
  CONSUL_SERVER = "consul.staging.internal"
}
