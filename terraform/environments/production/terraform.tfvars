# What is the same from one swap to the next. All ids are placeholders: put yours.
region              = "ap-northeast-1"
environment         = "production"
subnet_ids          = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
security_group_ids  = ["sg-0123456789abcdef0"]
instance_profile    = "production-web"
codedeploy_role_arn = "arn:aws:iam::123456789012:role/production-codedeploy"

variables = {
  CONSUL_SERVER = "consul.production.internal"
}
