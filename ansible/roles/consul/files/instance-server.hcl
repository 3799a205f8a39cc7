# instance-configure: /etc/consul.d/instance-server.hcl root:consul 0640
# Made at boot from /etc/instance/environment: what this environment decides for a server.
bootstrap_expect = ${CONSUL_BOOTSTRAP_EXPECT:-3}
retry_join_wan   = ${CONSUL_RETRY_JOIN_WAN:-[]}
