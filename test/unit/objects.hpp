// Short ways to write objects in tests.
#pragma once

#include <string>
#include <vector>

#include "model/event.hpp"
#include "model/flows.hpp"
#include "model/kernel.hpp"

namespace ipvsd::test {

inline IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

inline Service cluster_ip_service(const std::string& name, const std::string& address, std::uint16_t port = 80) {
  Service service;
  service.key = {"default", name};
  service.cluster_ips = {ip(address)};
  service.ports = {{"", Protocol::tcp, Port{port}, Port{}}};
  return service;
}

inline Endpoint endpoint(const std::string& address, bool ready = true, const std::string& node = "") {
  Endpoint result;
  result.address = ip(address);
  result.ready = result.serving = ready;
  result.node_name = Shared(std::string(node));
  return result;
}

inline EndpointSlice slice(const std::string& service, std::vector<Endpoint> endpoints,
                           const std::string& suffix = "a") {
  EndpointSlice result;
  result.key = {"default", service + "-" + suffix};
  result.service = service;
  if (!endpoints.empty()) result.family = endpoints[0].address.family();
  result.ports = {{"", Protocol::tcp, Port{8080}}};
  result.endpoints = std::move(endpoints);
  return result;
}

inline VirtualServerKey tcp(const std::string& address, std::uint16_t port = 80) {
  return {ip(address), Protocol::tcp, Port{port}, 0};
}

inline VirtualServerKey udp(const std::string& address, std::uint16_t port = 53) {
  return {ip(address), Protocol::udp, Port{port}, 0};
}

// A UDP flow from a client to a frontend that somebody answers.
inline Flow flow(const std::string& client, std::uint16_t client_port, const std::string& frontend, std::uint16_t port,
                 const std::string& answered_by, std::uint16_t answering_port) {
  Flow result;
  result.protocol = Protocol::udp;
  result.original = {ip(client), ip(frontend), Port{client_port}, Port{port}, {}};
  result.reply = {ip(answered_by), ip(client), Port{answering_port}, Port{client_port}, {}};
  return result;
}

}  // namespace ipvsd::test
