// The Events there are. Reasons and actions are kube-proxy's where it has the same Event, so that what looks for them
// goes on finding them; who reports is kube-ipvsd.
#pragma once

#include "daemon/loop/reconciler.hpp"
#include "daemon/report/event.hpp"

namespace ipvsd {

[[nodiscard]] Event starting_event(const std::string& node);
// healthzBindAddress or metricsBindAddress could not be had.
[[nodiscard]] Event health_server_failed_event(const std::string& node, const std::string& why);
[[nodiscard]] Event metrics_server_failed_event(const std::string& node, const std::string& why);
// The conntrack hash table cannot be enlarged: reason readOnlySysFS.
[[nodiscard]] Event read_only_sysfs_event(const std::string& node, const std::string& why);
// A healthCheckNodePort could not be had.
[[nodiscard]] Event health_check_failed_event(const ObjectKey& service, const std::string& uid, const std::string& why);
// FrontendConflict (ours; kube-proxy lets two Services overwrite each other), KubeProxyIncorrectIPVersion.
[[nodiscard]] Event notice_event(const ServiceNotice& notice);

}  // namespace ipvsd
