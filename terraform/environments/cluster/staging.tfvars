# Staging: the same images as production, on one instance of each kind.
environment    = "staging"
datacenter     = "tokyo"
region         = "ap-northeast-1"
releases       = "s3://staging-releases/app"
consul_servers = 1
web_min_size   = 1
web_max_size   = 1
api_min_size   = 1
api_max_size   = 1
