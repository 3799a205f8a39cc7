# Written by `ovenbird emit` and `ovenbird build`: the newest images, the same for every environment.
web_ami_id           = ""
api_ami_id           = ""
consul_server_ami_id = ""
