# Written by `ovenbird emit` and `ovenbird build`: the newest images.
web_ami_id = ""
api_ami_id = ""
