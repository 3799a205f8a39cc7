# Production, in its second datacentre: another region, joined to the first by the public addresses of that one's servers. Image ids are
# another region's: -var web_ami_id=… and -var consul_server_ami_id=… with the copies that `ovenbird build` makes for `regions`.
environment    = "production"
datacenter     = "oregon"
region         = "us-west-2"
releases       = "s3://production-releases/app"
consul_servers = 1
web_min_size   = 1
web_max_size   = 2
api_min_size   = 0
api_max_size   = 0
retry_join_wan = ["provider=aws region=ap-northeast-1 addr_type=public_v4 tag_key=consul tag_value=production-tokyo"]
