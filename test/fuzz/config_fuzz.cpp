// Files that people write: configuration, the ConfigMap that holds one, kubeconfig, and URLs of API servers. The first
// byte chooses. Run as scripts/fuzz.sh does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "daemon/config/config_file.hpp"
#include "daemon/config/given_file.hpp"
#include "daemon/config/kubeconfig.hpp"
#include "daemon/config/options.hpp"

using namespace ipvsd;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

// What was accepted is written so that it reads back the same.
void check_config(const ConfigResult& loaded) {
  if (!loaded) return check(!loaded.error().empty());
  const auto again = parse_config(config_yaml(loaded->config), "again");
  check(again && config_json(again->config) == config_json(loaded->config));
  check(!configz_json(loaded->config).empty());
}

// What of it goes into requests must not end a line there.
void check_access(const ApiAccess& access) {
  check(!access.host.empty() && access.port != 0);
  for (const auto* text : {&access.host, &access.path_prefix, &access.token})
    check(text->find_first_of("\r\n") == std::string::npos);
}

void server(std::string_view url) {
  ApiAccess access;
  if (set_server(access, url)) check_access(access);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: check_config(parse_config(text, "f")); break;
    case 1: check_config(parse_given_config(text, "f")); break;
    case 2:
      if (const auto access = parse_kubeconfig(text, "/etc/f")) check_access(*access);
      break;
    default: server(text); break;
  }
  return 0;
}
