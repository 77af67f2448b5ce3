// How to reach and convince the API server: from a kubeconfig file, or from the Pod's service account.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd {

// A PEM document, by path (re-read when the file changes) or inline (decoded from *-data).
struct PemSource {
  std::string path;
  std::string inline_pem;
  [[nodiscard]] bool empty() const { return path.empty() && inline_pem.empty(); }
};

struct ApiAccess {
  std::string host;  // name or address, without brackets
  std::uint16_t port = 443;
  bool tls = true;
  std::string path_prefix;  // of the server URL, without a trailing slash; usually ""
  std::string server_name;  // tls-server-name: the name to verify instead of host; "" = host
  bool insecure_skip_verify = false;
  PemSource ca;  // empty: the system's
  PemSource client_certificate;
  PemSource client_key;
  std::string token;       // a fixed bearer token
  std::string token_file;  // wins over token; re-read as it rotates
};

// Reads the current context of a kubeconfig file (clientcmd/api/v1 Config). exec and auth-provider users are refused
// (unsupported) with what to do instead. Relative paths are relative to the file. Errors name file:line and field.
[[nodiscard]] Result<ApiAccess> read_kubeconfig(const std::string& path);
// The same of a text that was read from there. Pure.
[[nodiscard]] Result<ApiAccess> parse_kubeconfig(std::string_view text, const std::string& path);

// Puts the server of a URL ("https://host:6443/prefix") in place of the one in `access`: --master. Error: malformed.
[[nodiscard]] Result<void> set_server(ApiAccess& access, std::string_view url);

// KUBERNETES_SERVICE_HOST and _PORT with /var/run/secrets/kubernetes.io/serviceaccount/{token,ca.crt}; `root` replaces
// "/" in that path for tests. Error: not_found, saying which part is missing and that --kubeconfig or --manifests are
// the alternatives.
[[nodiscard]] Result<ApiAccess> in_cluster_access(const std::string& root = "/");

}  // namespace ipvsd
