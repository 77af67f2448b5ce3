# The program writes its own completion.
source <(kube-ipvsctl completion bash)
