// Made-up clusters in the form in which an API server sends them: LIST answers as files, watch frames as text. The
// shape of each object is that of recordings of kube-apiserver 1.32, managedFields and all.
#pragma once

#include <string>

#include "model/kernel.hpp"

namespace ipvsd::bench {

struct Cluster {
  std::size_t services = 1000;
  std::size_t endpoints = 10;  // of each; at most 10
  Protocol protocol = Protocol::tcp;
};

inline constexpr const char* this_node = "node-0000.example.internal";

// services.json, endpointslices.json and nodes.json in the existing directory. The first Service is default/kubernetes,
// the second kube-system/kube-dns. One endpoint of a hundred is on this node. Throws std::runtime_error.
void write_lists(const Cluster& cluster, const std::string& directory);

// A frame of the watch of EndpointSlices, with its newline: MODIFIED, the slice of Service `index` with its endpoints
// from `first` on (0 as in the list; up to 6 - endpoints it is others), all of them ready.
[[nodiscard]] std::string slice_frame(const Cluster& cluster, std::size_t index, std::size_t first,
                                      std::uint64_t version, const char* type = "MODIFIED");
// The same of Services: ADDED or DELETED.
[[nodiscard]] std::string service_frame(const Cluster& cluster, std::size_t index, std::uint64_t version,
                                        const char* type);

// Which endpoint of which Service has this address: the first of a slice with `first` 3 is endpoint 3.
struct Place {
  std::size_t index;
  std::size_t endpoint;
};
[[nodiscard]] Place place_of(const IpAddress& pod);

// Where all ClusterIPs are, up to 65,000 of them.
[[nodiscard]] Cidr service_cidr();

}  // namespace ipvsd::bench
