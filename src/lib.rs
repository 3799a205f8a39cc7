//! ovenbird builds machine images with Packer and Ansible.
