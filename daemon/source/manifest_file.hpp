// One manifest file: YAML documents, or a JSON object or list -> the objects of ours that it defines. Pure.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "model/objects.hpp"

namespace ipvsd {

struct ManifestEntry {
  Kind kind = Kind::service;
  ObjectKey key;
  int line = 1;
  std::optional<Object> object;  // empty: it is there, but could not be read (a problem says why)
};

struct ManifestFile {
  std::vector<ManifestEntry> entries;  // each object once
  // False if something in the file could not be read, and not even which object it is.
  bool complete = true;
  std::vector<std::string> problems;  // "web.yaml:12: Service default/web: spec.ports[0].port: expected ..."
  std::vector<std::string> skipped;   // "web.yaml:30: apps/v1 Deployment": kinds of no concern here
  std::size_t rejected = 0;           // objects that could not be read
};

// By the name: *.yaml, *.yml, *.json, not hidden.
[[nodiscard]] bool is_manifest_name(std::string_view name);

// Error (malformed): the file as a whole, "web.yaml:3: ..."; interrupted: `stop` was requested. JSON, up to any size,
// is decoded object by object; kinds List, ServiceList, EndpointSliceList and NodeList are opened in both languages.
[[nodiscard]] Result<ManifestFile> read_manifest(std::string_view name, std::string_view text,
                                                 const std::stop_token& stop = {});

}  // namespace ipvsd
