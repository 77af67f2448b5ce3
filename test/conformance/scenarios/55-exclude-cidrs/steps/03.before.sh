ipvsadm -D -t 10.96.20.9:80
ipvsadm -D -t 10.96.20.9:8080
