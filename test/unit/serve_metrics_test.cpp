#include <catch2/catch.hpp>

#include "daemon/serve/metrics.hpp"

using namespace ipvsd;
using namespace std::chrono_literals;

TEST_CASE("recorded values appear under kube-proxy's names and ours") {
  Metrics metrics("1.2.3");
  metrics.sync_duration(Family::ipv4, 3ms);
  metrics.network_programming_duration(Family::ipv6, 400ms);
  metrics.synced(Family::ipv4, Metrics::WallTime(1714557600s));
  metrics.service_change();
  metrics.set_changes_pending(2, 3);
  metrics.restore_failed(Family::ipv6);
  metrics.set_no_local_endpoints(Family::ipv4, 1, 2);
  metrics.healthz_served(false);
  metrics.conntrack_cleaned(Family::ipv4, 1ms, 7);
  metrics.operations(ObjectKind::virtual_server, Verb::add, true, 5);
  metrics.operations(object_kind(BoundAddress{}), Verb::remove, false);
  metrics.watch_events(Kind::endpoint_slice, 4);
  metrics.set_watch_up(Kind::service, true);
  metrics.set_watch_up(Kind::node, true);
  metrics.set_watch_up(Kind::node, false);
  metrics.rules_written(Family::ipv4, false);
  metrics.set_dirty_objects(9);
  metrics.drift_repaired(ObjectKind::set_entry);
  metrics.set_health_checks(4, 1);
  metrics.health_check_served(false);
  metrics.foreign_mark_packets(Family::ipv6, 5);
  metrics.set_unmarked_ports(Family::ipv4, 2);
  metrics.api_request("10.96.0.1:443", "GET", 200, std::chrono::milliseconds(30));
  metrics.api_request("10.96.0.1:443", "GET", 200, std::chrono::milliseconds(30));
  metrics.api_request("10.96.0.1:443", "POST", 0, std::chrono::seconds(5));

  const auto text = metrics.text();
  const auto line = GENERATE(
      as<std::string>{}, "# TYPE kubeproxy_sync_proxy_rules_duration_seconds histogram",
      "kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\",le=\"0.002\"} 0",
      "kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\",le=\"0.004\"} 1",
      "kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family=\"IPv4\",le=\"16.384\"} 1",
      "kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv6\"} 0",
      "kubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv6\",le=\"0\"} 0",
      "kubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv6\",le=\"0.5\"} 1",
      "kubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv6\",le=\"59\"} 1",
      "kubeproxy_network_programming_duration_seconds_bucket{ip_family=\"IPv6\",le=\"300\"} 1",
      "kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"} 1714557600",
      "kubeproxy_sync_proxy_rules_service_changes_total 1", "kubeproxy_sync_proxy_rules_service_changes_pending 2",
      "kubeproxy_sync_proxy_rules_endpoint_changes_pending 3",
      "kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family=\"IPv6\"} 1",
      "# TYPE kubeproxy_sync_proxy_rules_no_local_endpoints_total gauge",
      "kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family=\"IPv4\",traffic_policy=\"external\"} 2",
      "kubeproxy_proxy_healthz_total{code=\"503\"} 1", "kubeproxy_proxy_livez_total{code=\"200\"} 0",
      "kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family=\"IPv4\"} 7",
      "kube_ipvsd_operations_total{object=\"virtual_server\",result=\"ok\",verb=\"add\"} 5",
      "kube_ipvsd_operations_total{object=\"address\",result=\"error\",verb=\"remove\"} 1",
      "kube_ipvsd_watch_events_total{resource=\"endpointslices\"} 4", "kube_ipvsd_watch_up{resource=\"services\"} 1",
      "kube_ipvsd_watch_up{resource=\"nodes\"} 0", "kube_ipvsd_rules_writes_total{family=\"IPv4\",result=\"error\"} 1",
      "kube_ipvsd_dirty_objects 9", "kube_ipvsd_drift_repaired_total{object=\"set_entry\"} 1",
      "kube_ipvsd_build_info{version=\"1.2.3\"} 1", "kube_ipvsd_foreign_mark_packets_total{family=\"IPv6\"} 5",
      "kube_ipvsd_foreign_mark_packets_total{family=\"IPv4\"} 0",
      "kube_ipvsd_unmarked_service_ports{family=\"IPv4\"} 2", "# TYPE rest_client_requests_total counter",
      "rest_client_requests_total{code=\"200\",host=\"10.96.0.1:443\",method=\"GET\"} 2",
      "rest_client_requests_total{code=\"<error>\",host=\"10.96.0.1:443\",method=\"POST\"} 1",
      "rest_client_request_duration_seconds_bucket{host=\"10.96.0.1:443\",verb=\"GET\",le=\"0.025\"} 0",
      "rest_client_request_duration_seconds_bucket{host=\"10.96.0.1:443\",verb=\"GET\",le=\"0.1\"} 2",
      "rest_client_request_duration_seconds_count{host=\"10.96.0.1:443\",verb=\"POST\"} 1",
      "# TYPE process_cpu_seconds_total counter", "# TYPE process_max_fds gauge", "# TYPE process_open_fds gauge",
      "# TYPE process_resident_memory_bytes gauge", "# TYPE process_virtual_memory_bytes gauge",
      "# TYPE process_virtual_memory_max_bytes gauge", "# TYPE process_start_time_seconds gauge",
      "kube_ipvsd_events_total{result=\"dropped\"} 0", "kube_ipvsd_health_check_services 4",
      "kube_ipvsd_health_check_services_failing 1", "kube_ipvsd_health_check_answers_total{code=\"503\"} 1");
  CHECK_THAT("\n" + text, Catch::Contains("\n" + line + "\n"));
}

TEST_CASE("the process's own figures are true") {
  const Metrics metrics("1.2.3");
  const auto text = metrics.text();
  const auto value = [&](const std::string& name) {
    const auto at = text.find("\n" + name + " ");
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + name.size() + 2));
  };
  const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  CHECK(value("process_start_time_seconds") <= now + 2);
  CHECK(value("process_start_time_seconds") > now - 3600);
  CHECK(value("process_open_fds") >= 3);
  CHECK(value("process_max_fds") >= value("process_open_fds"));
  CHECK(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
  CHECK(value("process_resident_memory_bytes") > 0);
  CHECK(value("process_cpu_seconds_total") >= 0);
}
