# Production, in its first datacentre. A lost Consul server is survived.
environment    = "production"
datacenter     = "tokyo"
region         = "ap-northeast-1"
releases       = "s3://production-releases/app"
consul_servers = 3
web_min_size   = 2
web_max_size   = 4
api_min_size   = 1
api_max_size   = 2
