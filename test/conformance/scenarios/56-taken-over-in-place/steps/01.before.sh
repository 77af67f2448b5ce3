ipvsadm -A -t 10.96.21.1:80 -s wlc -p 77
ipvsadm -a -t 10.96.21.1:80 -r 10.244.1.1:8080 -m -w 5
ipvsadm -a -t 10.96.21.1:80 -r 10.244.9.9:8080 -m -w 1
ipvsadm -A -u 192.168.77.2:30053 -s sh
