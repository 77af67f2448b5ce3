#include "daemon/config/kubeconfig.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "daemon/config/config_file.hpp"
#include "daemon/config/fields.hpp"
#include "daemon/config/yaml_tree.hpp"
#include "os/file.hpp"

namespace ipvsd {
namespace {

// RFC 4648 section 4; line breaks and spaces are skipped. Empty for anything else.
std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  int padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ') continue;
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z')
      value = static_cast<std::uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z')
      value = static_cast<std::uint32_t>(c - 'a' + 26);
    else if (c >= '0' && c <= '9')
      value = static_cast<std::uint32_t>(c - '0' + 52);
    else if (c == '+')
      value = 62;
    else if (c == '/')
      value = 63;
    else if (c == '=')
      ++padding;
    else
      return {};
    if (padding > 0 && c != '=') return {};
    bits = bits << 6 | value;
    if (++count % 4 != 0) continue;
    for (const int shift : {16, 8, 0}) out += static_cast<char>(bits >> shift & 0xff);
    bits = 0;
  }
  if (count % 4 != 0 || padding > 2) return {};
  out.resize(out.size() - static_cast<std::size_t>(std::min<int>(padding, static_cast<int>(out.size()))));
  return out;
}

// Looks things up in one kubeconfig and says where it was when it fails.
class Kubeconfig {
 public:
  Kubeconfig(const std::string& path, const YamlNode& root) : path_(path), root_(root) {}

  [[nodiscard]] tl::unexpected<Error> wrong(int line, const std::string& what, Errc code = Errc::malformed) const {
    return fail(code, fmt::format("{}:{}: {}", path_, line, what));
  }

  // The entry of that name in one of the three lists, and the map in it: clusters -> cluster.
  [[nodiscard]] Result<const YamlNode*> entry(const char* list, const char* member, const std::string& name) const {
    const auto* entries = root_.find(list);
    if (entries != nullptr && entries->kind == YamlNode::Kind::list) {
      for (const auto& item : entries->items) {
        const auto* item_name = item.find("name");
        if (item_name == nullptr || item_name->text != name) continue;
        const auto* value = item.find(member);
        if (value == nullptr || value->kind != YamlNode::Kind::map)
          return wrong(item.line, fmt::format("{}: {} \"{}\": expected a map named {}, got {}", list, member, name,
                                              member, value == nullptr ? "nothing" : value->shown()));
        return value;
      }
    }
    return wrong(entries == nullptr ? 1 : entries->line, fmt::format("{}: there is no {} \"{}\"", list, member, name));
  }

  // A scalar member, or "".
  [[nodiscard]] Result<std::string> text(const YamlNode& map, const char* key, const std::string& where) const {
    const auto* value = map.find(key);
    if (value == nullptr || value->kind == YamlNode::Kind::null) return std::string();
    if (value->kind != YamlNode::Kind::scalar)
      return wrong(value->line, fmt::format("{}.{}: expected text, got {}", where, key, value->shown()));
    return value->text;
  }

  // `key` as a path relative to the file, or `key`-data inline, which wins (clientcmd).
  [[nodiscard]] Result<PemSource> pem(const YamlNode& map, const std::string& key, const std::string& where) const {
    const auto inline_key = key + "-data";
    const auto encoded = text(map, inline_key.c_str(), where);
    if (!encoded) return fail(encoded.error());
    if (!encoded->empty()) {
      auto decoded = decode_base64(*encoded);
      // The value is not shown: it may be a private key.
      if (!decoded || decoded->find("-----BEGIN ") == std::string::npos)
        return wrong(map.find(inline_key)->line,
                     fmt::format("{}.{}: expected a PEM document in base64", where, inline_key));
      return PemSource{"", std::move(*decoded)};
    }
    const auto file = text(map, key.c_str(), where);
    if (!file) return fail(file.error());
    return PemSource{resolve(*file), ""};
  }

  [[nodiscard]] std::string resolve(const std::string& file) const {
    if (file.empty() || file.front() == '/') return file;
    return (std::filesystem::path(path_).parent_path() / file).string();
  }

 private:
  const std::string& path_;
  const YamlNode& root_;
};

// "https://host:6443/prefix" into its parts.
std::optional<std::string> split_url(std::string_view url, ApiAccess& access) {
  if (url.starts_with("https://"))
    access.tls = true;
  else if (url.starts_with("http://"))
    access.tls = false;
  else
    return "to begin with https:// or http://";
  url.remove_prefix(access.tls ? 8 : 7);
  const auto slash = url.find('/');
  auto authority = url.substr(0, slash);
  if (slash != std::string_view::npos) access.path_prefix = std::string(url.substr(slash));
  while (access.path_prefix.ends_with('/')) access.path_prefix.pop_back();
  access.port = access.tls ? 443 : 80;

  const auto host_end = authority.starts_with('[') ? authority.find(']') : std::string_view::npos;
  const auto colon = authority.find(':', host_end == std::string_view::npos ? 0 : host_end);
  if (colon != std::string_view::npos) {
    const auto port = parse_integer(authority.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) return "a port from 1 to 65535";
    access.port = static_cast<std::uint16_t>(*port);
    authority = authority.substr(0, colon);
  }
  if (host_end != std::string_view::npos) authority = authority.substr(1, host_end - 1);
  constexpr auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
  const bool bad_path = access.path_prefix.find_first_of(" ?#\r\n\t") != std::string::npos;
  if (authority.empty() || bad_path || authority.find_first_not_of(allowed) != std::string_view::npos)
    return "a host name or address";
  access.host = std::string(authority);
  return {};
}

Result<void> read_cluster(const Kubeconfig& file, const YamlNode& cluster, ApiAccess& access) {
  const auto server = file.text(cluster, "server", "cluster");
  if (!server) return fail(server.error());
  if (const auto expected = split_url(*server, access)) {
    const auto* node = cluster.find("server");
    return file.wrong(
        node == nullptr ? cluster.line : node->line,
        fmt::format("cluster.server: expected {}, got {}", *expected, node == nullptr ? "nothing" : node->shown()));
  }
  const auto name = file.text(cluster, "tls-server-name", "cluster");
  if (!name) return fail(name.error());
  access.server_name = *name;
  if (const auto* insecure = cluster.find("insecure-skip-tls-verify");
      insecure != nullptr && insecure->kind != YamlNode::Kind::null) {
    const auto value = parse_boolean(insecure->text);
    if (!value || insecure->quoted)
      return file.wrong(insecure->line, fmt::format("cluster.insecure-skip-tls-verify: expected true or false, got {}",
                                                    insecure->shown()));
    access.insecure_skip_verify = *value;
  }
  auto ca = file.pem(cluster, "certificate-authority", "cluster");
  if (!ca) return fail(ca.error());
  access.ca = std::move(*ca);
  if (access.insecure_skip_verify && !access.ca.empty())
    return file.wrong(cluster.line,
                      "cluster: a certificate-authority cannot be given together with insecure-skip-tls-verify");
  return {};
}

Result<void> read_user(const Kubeconfig& file, const YamlNode& user, ApiAccess& access) {
  for (const auto* refused : {"exec", "auth-provider", "username", "password", "as", "as-uid", "as-groups"})
    if (const auto* node = user.find(refused); node != nullptr && node->kind != YamlNode::Kind::null)
      return file.wrong(node->line,
                        fmt::format("user.{}: not supported: use a client certificate, token or tokenFile "
                                    "(in a Pod, leave clientConnection.kubeconfig empty to use its service account)",
                                    refused),
                        Errc::unsupported);
  auto certificate = file.pem(user, "client-certificate", "user");
  auto key = file.pem(user, "client-key", "user");
  auto token = file.text(user, "token", "user");
  auto token_file = file.text(user, "tokenFile", "user");
  if (!certificate) return fail(certificate.error());
  if (!key) return fail(key.error());
  if (!token) return fail(token.error());
  if (!token_file) return fail(token_file.error());
  if (certificate->empty() != key->empty())
    return file.wrong(user.line, "user: client-certificate and client-key must be given together");
  // It goes into a header as it is.
  for (const char c : *token)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f)
      return file.wrong(user.find("token")->line, "user.token: expected no spaces or control characters in it");
  access.client_certificate = std::move(*certificate);
  access.client_key = std::move(*key);
  access.token = std::move(*token);
  access.token_file = file.resolve(*token_file);
  return {};
}

}  // namespace

Result<ApiAccess> read_kubeconfig(const std::string& path) {
  const auto text = read_small_file(path, yaml_size_limit);
  if (!text) return fail(text.error().within("kubeconfig"));
  return parse_kubeconfig(*text, path);
}

Result<ApiAccess> parse_kubeconfig(std::string_view text, const std::string& path) {
  const auto document = parse_yaml(text);
  const auto at = [&](const YamlError& error) {
    return fail(Errc::malformed, fmt::format("{}:{}: {}", path, error.line, error.what));
  };
  if (!document) return at(document.error());
  if (!document->duplicates.empty()) return at(document->duplicates.front());
  const Kubeconfig file(path, document->root);

  const auto current = file.text(document->root, "current-context", "");
  if (!current) return fail(current.error());
  if (current->empty()) return file.wrong(1, "current-context: expected the name of a context, got nothing");
  const auto context = file.entry("contexts", "context", *current);
  if (!context) return fail(context.error());
  const auto cluster_name = file.text(**context, "cluster", "context");
  const auto user_name = file.text(**context, "user", "context");
  if (!cluster_name) return fail(cluster_name.error());
  if (!user_name) return fail(user_name.error());

  ApiAccess access;
  const auto cluster = file.entry("clusters", "cluster", *cluster_name);
  if (!cluster) return fail(cluster.error());
  if (const auto read = read_cluster(file, **cluster, access); !read) return fail(read.error());
  if (user_name->empty()) return access;
  const auto user = file.entry("users", "user", *user_name);
  if (!user) return fail(user.error());
  if (const auto read = read_user(file, **user, access); !read) return fail(read.error());
  return access;
}

Result<void> set_server(ApiAccess& access, std::string_view url) {
  access.path_prefix.clear();
  if (const auto expected = split_url(url, access))
    return fail(Errc::malformed, fmt::format("--master: expected {}, got \"{}\"", *expected, url));
  return {};
}

Result<ApiAccess> in_cluster_access(const std::string& root) {
  const auto missing = [](const std::string& what) {
    return fail(Errc::not_found,
                fmt::format("not in a cluster: {} is missing; give --kubeconfig or --manifests instead", what));
  };
  const auto variable = [](const char* name) {
    const char* value = ::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const auto host = variable("KUBERNETES_SERVICE_HOST");
  const auto port_text = variable("KUBERNETES_SERVICE_PORT");
  if (host.empty()) return missing("the environment variable KUBERNETES_SERVICE_HOST");
  if (port_text.empty()) return missing("the environment variable KUBERNETES_SERVICE_PORT");
  const auto port = parse_integer(port_text);
  if (!port || *port < 1 || *port > 65535)
    return fail(Errc::malformed, fmt::format("KUBERNETES_SERVICE_PORT: expected a port from 1 to 65535, got \"{}\"",
                                             port_text.substr(0, 32)));

  const auto directory = std::filesystem::path(root) / "var/run/secrets/kubernetes.io/serviceaccount";
  ApiAccess access;
  access.host = host;
  access.port = static_cast<std::uint16_t>(*port);
  access.token_file = (directory / "token").string();
  access.ca.path = (directory / "ca.crt").string();
  std::error_code ignored;
  for (const auto& file : {access.token_file, access.ca.path})
    if (!std::filesystem::exists(file, ignored)) return missing(file);
  return access;
}

}  // namespace ipvsd
