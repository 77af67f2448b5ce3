#include "daemon/config/key_files.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

namespace ipvsd {

std::vector<std::string> exposed_secrets(const ApiAccess& access, const std::string& kubeconfig) {
  std::vector<std::string> exposed;
  const auto look_at = [&](std::string_view what, const std::string& path) {
    struct stat status {};
    if (path.empty() || path.starts_with("/var/run/secrets/") || ::stat(path.c_str(), &status) != 0) return;
    const auto others = status.st_mode & (S_IROTH | S_IWOTH);
    if (others == 0) return;
    exposed.push_back(
        fmt::format("{} {}: mode {:04o}: every user of this machine can {} it, and so speak to the API server in our "
                    "name; chmod 600 {}",
                    what, path, status.st_mode & 07777, (others & S_IROTH) != 0 ? "read" : "replace", path));
  };
  if (!access.token.empty() || !access.client_key.inline_pem.empty()) look_at("kubeconfig", kubeconfig);
  look_at("client key", access.client_key.path);
  look_at("bearer token", access.token_file);
  return exposed;
}

}  // namespace ipvsd
