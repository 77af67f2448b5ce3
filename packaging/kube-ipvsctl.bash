# The program writes its own completion.
eval "$(kube-ipvsctl completion bash)"
