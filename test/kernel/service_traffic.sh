# The traffic that the samples node, web, solo, sticky and edge stand for, to be sourced behind lib.sh once they are served:
# every kind of frontend, from every origin, in both families, however their VIPs have become local.
# shellcheck shell=bash
client() { in_pod client "$traffic" "$@"; }
outside() { in_pod outside "$traffic" "$@"; }

check "ClusterIP, TCP, from a pod, by turns" each 2 client request tcp 10.96.10.1 80
check "ClusterIP, UDP, from a pod" each 2 client request udp 10.96.10.1 53
check "ClusterIP, SCTP, from a pod" each 1 client request sctp 10.96.10.1 90
check "ClusterIP, TCP, from the node" each 2 "$traffic" request tcp 10.96.10.1 80
check "ClusterIP, UDP, from the node" each 1 "$traffic" request udp 10.96.10.1 53
check "ClusterIP from a backend, itself among the three" each 1 in_pod web-1 "$traffic" request tcp 10.96.10.1 80
check "the backend sees the pod that asks" answers 'web-. 10\.244\.1\.100:' client request tcp 10.96.10.1 80
check "ClusterIP, IPv6, TCP, from a pod" each 2 client request tcp fd00:10:96::1 80
check "ClusterIP, IPv6, UDP, from a pod" each 1 client request udp fd00:10:96::1 53
check "ClusterIP, IPv6, TCP, from the node" each 1 "$traffic" request tcp fd00:10:96::1 80

check "hairpin: a pod that meets itself is masqueraded" \
  answers 'web-1 10\.244\.1\.1:' in_pod web-1 "$traffic" request tcp 10.96.10.2 80
check "hairpin, IPv6" answers 'web-1 \[fd00:10:244:1::1\]:' in_pod web-1 "$traffic" request tcp fd00:10:96::2 80
check "another pod is not masqueraded there" answers 'web-1 10\.244\.1\.100:' client request tcp 10.96.10.2 80

check "NodePort, TCP, from outside" each 2 outside request tcp 192.168.77.2 30080
check "NodePort from outside is masqueraded" answers 'web-. 10\.244\.1\.1:' outside request tcp 192.168.77.2 30080
check "NodePort, UDP, from outside" each 1 outside request udp 192.168.77.2 30053
check "NodePort, SCTP, from outside" each 1 outside request sctp 192.168.77.2 30090
check "NodePort, TCP, on the node" each 1 "$traffic" request tcp 192.168.77.2 30080
check "NodePort, UDP, on the node" each 1 "$traffic" request udp 192.168.77.2 30053
check "NodePort from a pod" each 1 client request tcp 192.168.77.2 30080
check "NodePort, IPv6, TCP, from outside" each 1 outside request tcp fd00:77::2 30080
check "NodePort, IPv6, UDP, from outside" each 1 outside request udp fd00:77::2 30053
check "NodePort, IPv6, on the node" each 1 "$traffic" request tcp fd00:77::2 30080

held() {
  client request tcp 10.96.10.3 80 --count 6 --quiet >"$work/first" || return 1
  "$traffic" request tcp 10.96.10.3 80 --count 6 --quiet >"$work/second" || return 1
  cat "$work/first" "$work/second"
  file_says first '^6 from' && file_says second '^6 from'
}
check "ClientIP affinity holds each client to one backend" held
check "ClientIP affinity: another client, another backend" \
  not grep -q "$(grep from "$work/first")" "$work/second"

# The world beyond eth0 sends the load balancer's addresses here.
in_pod outside ip route add 203.0.113.0/24 via 192.168.77.2
check "LoadBalancer address from outside" each 1 outside request tcp 203.0.113.10 80
check "LoadBalancer address from a pod" each 1 client request tcp 203.0.113.10 80
check "external IP from outside" each 1 outside request tcp 203.0.113.20 80
check "external IP from the node" each 1 "$traffic" request tcp 203.0.113.20 80
check "source ranges keep others out" unreachable outside request tcp 203.0.113.30 80
in_pod outside ip addr add 198.51.100.7/32 dev lo
in_pod outside ip route change 203.0.113.0/24 via 192.168.77.2 src 198.51.100.7
check "source ranges let their own in" answers '1 from web-1' outside request tcp 203.0.113.30 80

background+=("$("$traffic" serve host --tcp 9999 --v6 --background)")
check "a port of the node answers on the node's address" answers '1 from host' outside request tcp 192.168.77.2 9999
check "a port of the node does not answer on a ClusterIP" unreachable client request tcp 10.96.10.1 9999
check "a port of the node does not answer on a LoadBalancer address" unreachable outside request tcp 203.0.113.10 9999
check "a port of the node does not answer on an IPv6 ClusterIP" unreachable client request tcp fd00:10:96::1 9999
check "the VIP still serves its own port" each 1 client request tcp 10.96.10.1 80
