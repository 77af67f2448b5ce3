ip addr add 192.168.88.2/24 dev eth0
