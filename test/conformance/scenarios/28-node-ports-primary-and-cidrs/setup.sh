# A second link, as a node with two networks has it.
ip link add eth1 type dummy
ip addr add 172.31.5.5/24 dev eth1
ip addr add fd00:5::5/64 dev eth1 nodad
ip link set eth1 up
