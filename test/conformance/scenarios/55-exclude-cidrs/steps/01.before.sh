ipvsadm -A -t 10.96.20.9:8080 -s wlc
