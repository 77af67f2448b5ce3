#include "daemon/report/reasons.hpp"

namespace ipvsd {
namespace {

constexpr const char* start_action = "StartKubeProxy";

Event of_node(const std::string& node, const char* reason, const std::string& note) {
  return {about_node(node), EventType::warning, reason, start_action, note};
}

}  // namespace

Event starting_event(const std::string& node) {
  return {about_node(node), EventType::normal, "Starting", start_action, "kube-ipvsd starts"};
}

Event health_server_failed_event(const std::string& node, const std::string& why) {
  return of_node(node, "FailedToStartProxierHealthcheck", why);
}

Event metrics_server_failed_event(const std::string& node, const std::string& why) {
  return of_node(node, "FailedToStartMetricServer", why);
}

Event read_only_sysfs_event(const std::string& node, const std::string& why) {
  return of_node(node, "readOnlySysFS", why);
}

Event health_check_failed_event(const ObjectKey& service, const std::string& uid, const std::string& why) {
  return {about_service(service, uid), EventType::warning, "FailedToStartServiceHealthcheck", "Listen", why};
}

Event notice_event(const ServiceNotice& notice) {
  const bool conflict = notice.kind == ServiceNotice::Kind::conflict;
  return {about_service(notice.service, notice.uid), EventType::warning,
          conflict ? "FrontendConflict" : "KubeProxyIncorrectIPVersion",
          conflict ? "ProgramService" : "GatherEndpoints", notice.text};
}

}  // namespace ipvsd
