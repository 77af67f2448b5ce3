// A configuration as an operator has it at hand for --check: the file that kube-proxy reads, or the ConfigMap that
// holds it ("kubectl get configmap -n kube-system kube-proxy -o yaml").
#pragma once

#include <string>

#include "daemon/config/config_file.hpp"

namespace ipvsd {

// The KubeProxyConfiguration of a ConfigMap is the one member of its data that is one (kubeadm calls it config.conf);
// its lines are counted within that member, and messages name it: "kube-proxy.yaml[config.conf]:12: ...". Otherwise as
// parse_config(). Pure.
[[nodiscard]] ConfigResult parse_given_config(std::string_view yaml, const std::string& file_name);
[[nodiscard]] ConfigResult read_given_config(const std::string& path);

}  // namespace ipvsd
