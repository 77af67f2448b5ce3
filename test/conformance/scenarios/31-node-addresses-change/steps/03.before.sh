ip addr add 203.0.113.8/32 dev eth0
