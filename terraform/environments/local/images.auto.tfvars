# Written by `ovenbird emit` and `ovenbird build`: the images that this environment runs.
web_ami_id = ""
api_ami_id = ""
