# instance-configure: /etc/consul.d/instance.hcl root:consul 0640
# Made at boot from /etc/instance/environment: what this environment decides. The values stand in quotes, so a go-sockaddr template in one
# of them has backquotes inside: {{ GetInterfaceIP `eth0` }}. An empty address is none: Consul then finds the private one.
datacenter         = "${CONSUL_DATACENTER}"
encrypt            = "${CONSUL_ENCRYPT}"
retry_join         = ${CONSUL_RETRY_JOIN}
bind_addr          = "${CONSUL_BIND_ADDR:-0.0.0.0}"
advertise_addr     = "${CONSUL_ADVERTISE_ADDR:-}"
advertise_addr_wan = "${CONSUL_ADVERTISE_WAN:-}"
node_meta {
  environment = "${ENVIRONMENT}"
}
