ip link add kube-ipvs0 type dummy
ip addr add 198.18.5.1/32 dev kube-ipvs0
ipvsadm -A -t 198.18.5.1:80 -s wlc
ipvsadm -A -u 192.0.2.9:53 -s rr
ipvsadm -A -f 7 -s rr
ipset create foreign hash:ip
ipset add foreign 192.0.2.1
