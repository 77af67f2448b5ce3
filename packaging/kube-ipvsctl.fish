# The program writes its own completion.
kube-ipvsctl completion fish | source
