#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/config/key_files.hpp"
#include "daemon/config/kubeconfig.hpp"

using namespace ipvsd;

namespace {

struct Directory {
  Directory() {
    char name[] = "/tmp/ipvsd-kubeconfig-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Directory() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
    return (path / name).string();
  }
  std::filesystem::path path;
};

std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {cluster: k, user: u}\n"
         "clusters:\n- name: k\n  cluster: " +
         cluster + "\nusers:\n- name: u\n  user: " + user + "\n";
}

Result<ApiAccess> read(const Directory& directory, const std::string& text) {
  return read_kubeconfig(directory.write("config", text));
}

const std::string server = "{server: https://10.0.0.1:6443}";

}  // namespace

TEST_CASE("server URLs") {
  const auto [url, host, port, tls, prefix] = GENERATE(table<std::string, std::string, int, bool, std::string>({
      {"https://10.0.0.1:6443", "10.0.0.1", 6443, true, ""},
      {"https://api.example.com", "api.example.com", 443, true, ""},
      {"https://api.example.com/", "api.example.com", 443, true, ""},
      {"http://127.0.0.1:8080/k8s/clusters/a/", "127.0.0.1", 8080, false, "/k8s/clusters/a"},
      {"http://localhost", "localhost", 80, false, ""},
      {"https://[fd00::1]:6443", "fd00::1", 6443, true, ""},
      {"https://[fd00::1]", "fd00::1", 443, true, ""},
  }));
  const Directory directory;
  const auto access = read(directory, kubeconfig("{server: '" + url + "'}", "{token: t}"));
  REQUIRE(access);
  CHECK(access->host == host);
  CHECK(access->port == port);
  CHECK(access->tls == tls);
  CHECK(access->path_prefix == prefix);
  CHECK(access->token == "t");
}

TEST_CASE("certificates and keys by path and inline") {
  const Directory directory;
  const auto by_path =
      read(directory, kubeconfig("{server: 'https://a', certificate-authority: pki/ca.crt, tls-server-name: b}",
                                 "{client-certificate: /abs/c.crt, client-key: c.key, tokenFile: token}"));
  REQUIRE(by_path);
  CHECK(by_path->ca.path == (directory.path / "pki/ca.crt").string());
  CHECK(by_path->client_certificate.path == "/abs/c.crt");
  CHECK(by_path->client_key.path == (directory.path / "c.key").string());
  CHECK(by_path->token_file == (directory.path / "token").string());
  CHECK(by_path->server_name == "b");

  // "-----BEGIN X-----\n"
  const std::string pem = "LS0tLS1CRUdJTiBYLS0tLS0K";
  const auto inlined = read(directory, kubeconfig("{server: 'https://a', certificate-authority-data: " + pem + "}",
                                                  "{client-certificate-data: " + pem + ", client-key-data: " + pem +
                                                      ", client-key: ignored}"));
  REQUIRE(inlined);
  CHECK(inlined->ca.inline_pem == "-----BEGIN X-----\n");
  CHECK(inlined->client_key.inline_pem == "-----BEGIN X-----\n");
  CHECK(inlined->client_key.path.empty());
}

TEST_CASE("insecure access has to be asked for") {
  const Directory directory;
  CHECK_FALSE(read(directory, kubeconfig(server, "{}"))->insecure_skip_verify);
  CHECK(
      read(directory, kubeconfig("{server: 'https://a', insecure-skip-tls-verify: true}", "{}"))->insecure_skip_verify);
}

TEST_CASE("what a kubeconfig is refused for") {
  const auto [text, line, part] = GENERATE(table<std::string, int, std::string>({
      {kubeconfig(server, "{exec: {command: aws}}"), 12,
       "user.exec: not supported: use a client certificate, token or tokenFile"},
      {kubeconfig(server, "{auth-provider: {name: gcp}}"), 12, "user.auth-provider: not supported"},
      {kubeconfig(server, "{username: a, password: b}"), 12, "user.username: not supported"},
      {kubeconfig(server, "{client-certificate-data: '***', client-key: k}"), 12,
       "user.client-certificate-data: expected a PEM document in base64"},
      {kubeconfig(server, "{client-certificate-data: LS0t, client-key: k}"), 12,
       "user.client-certificate-data: expected a PEM document"},
      {kubeconfig(server, "{client-key-data: LS0tLS1CRUdJTiBYLS0tLS0}"), 12,
       "user.client-key-data: expected a PEM document"},
      {kubeconfig(server, "{client-certificate: c}"), 12, "client-certificate and client-key must be given together"},
      {kubeconfig(server, "{token: \"a\\r\\nX: y\"}"), 12, "user.token: expected no spaces or control characters"},
      {kubeconfig(server, "{token: [a]}"), 12, "user.token: expected text, got a list"},
      {kubeconfig("{server: 'ftp://a'}", "{}"), 9,
       "cluster.server: expected to begin with https:// or http://, got \"ftp://a\""},
      {kubeconfig("{server: 'https://a:0'}", "{}"), 9, "cluster.server: expected a port from 1 to 65535"},
      {kubeconfig("{server: 'https://a b'}", "{}"), 9, "cluster.server: expected a host name or address"},
      {kubeconfig("{server: 'https://'}", "{}"), 9, "cluster.server: expected a host name or address"},
      {kubeconfig("{}", "{}"), 9, "cluster.server: expected to begin with https:// or http://, got nothing"},
      {kubeconfig("{server: 'https://a', insecure-skip-tls-verify: maybe}", "{}"), 9,
       "expected true or false, got \"maybe\""},
      {kubeconfig("{server: 'https://a', insecure-skip-tls-verify: true, certificate-authority: c}", "{}"), 9,
       "cannot be given together"},
      {kubeconfig("7", "{}"), 8, "clusters: cluster \"k\": expected a map named cluster, got \"7\""},
      {"current-context: d\ncontexts:\n- name: c\n  context: {}\n", 3, "contexts: there is no context \"d\""},
      {"current-context: c\ncontexts:\n- name: c\n  context: {cluster: x}\n", 1, "clusters: there is no cluster \"x\""},
      {"apiVersion: v1\n", 1, "current-context: expected the name of a context, got nothing"},
      {"[]", 1, "current-context: expected the name of a context"},
      {"a: b: c", 1, "not valid YAML"},
      {"a: 1\na: 2\n", 2, "a: given twice"},
      {std::string("a\0b", 3), 1, "NUL"},
      {std::string(90'000, '[') + std::string(90'000, ']'), 1, "nested more than"},
  }));
  const Directory directory;
  const auto access = read(directory, text);
  REQUIRE_FALSE(access);
  CHECK_THAT(access.error().context,
             Catch::StartsWith((directory.path / "config").string() + ":" + std::to_string(line) + ": ") &&
                 Catch::Contains(part));
  CHECK((access.error().code == Errc::unsupported) == (part.find("not supported") != std::string::npos));
}

TEST_CASE("secrets that others can read or replace are named, with what to do") {
  const Directory directory;
  const auto mode = [](const std::string& path, unsigned bits) {
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(bits));
  };
  const auto certificate = directory.write("client.crt", "public");
  const auto key = directory.write("client.key", "secret");
  const auto token = directory.write("token", "secret");
  const auto by_file = read(directory, kubeconfig(server,
                                                  "{client-certificate: client.crt, client-key: client.key, "
                                                  "tokenFile: token}"));
  REQUIRE(by_file);
  const auto config = (directory.path / "config").string();
  mode(config, 0644);  // no secret in it
  mode(certificate, 0644);
  mode(key, 0640);
  mode(token, 0600);
  CHECK(exposed_secrets(*by_file, config).empty());
  mode(key, 0644);
  mode(token, 0602);
  CHECK(exposed_secrets(*by_file, config) ==
        std::vector<std::string>{
            "client key " + key +
                ": mode 0644: every user of this machine can read it, and so speak to the API server "
                "in our name; chmod 600 " +
                key,
            "bearer token " + token +
                ": mode 0602: every user of this machine can replace it, and so speak to the API "
                "server in our name; chmod 600 " +
                token});

  const auto inline_token = read(directory, kubeconfig(server, "{token: secret}"));
  REQUIRE(inline_token);
  const auto exposed = exposed_secrets(*inline_token, config);
  REQUIRE(exposed.size() == 1);
  CHECK_THAT(exposed[0], Catch::StartsWith("kubeconfig " + config + ": mode 0644: ") && !Catch::Contains("secret,"));
  mode(config, 0600);
  CHECK(exposed_secrets(*inline_token, config).empty());
  CHECK(exposed_secrets({}, "").empty());
  std::filesystem::remove(key);
  CHECK(exposed_secrets(*by_file, config).size() == 1);
}

TEST_CASE("a missing kubeconfig is not found") {
  CHECK(read_kubeconfig("/nonexistent/config").error().code == Errc::not_found);
}

TEST_CASE("in-cluster access names the missing part") {
  const Directory root;
  const std::string account = "var/run/secrets/kubernetes.io/serviceaccount/";
  ::unsetenv("KUBERNETES_SERVICE_HOST");
  ::unsetenv("KUBERNETES_SERVICE_PORT");
  const auto expect_missing = [&](const std::string& part) {
    const auto access = in_cluster_access(root.path.string());
    REQUIRE_FALSE(access);
    CHECK(access.error().code == Errc::not_found);
    CHECK_THAT(access.error().context, Catch::Contains(part) && Catch::Contains("--kubeconfig or --manifests"));
  };
  expect_missing("KUBERNETES_SERVICE_HOST");
  ::setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
  expect_missing("KUBERNETES_SERVICE_PORT");
  ::setenv("KUBERNETES_SERVICE_PORT", "443", 1);
  expect_missing("token");
  (void)root.write(account + "token", "t");
  expect_missing("ca.crt");
  (void)root.write(account + "ca.crt", "c");
  const auto access = in_cluster_access(root.path.string());
  REQUIRE(access);
  CHECK(access->host == "fd00::1");
  CHECK(access->port == 443);
  CHECK(access->token_file == (root.path / account / "token").string());
  ::setenv("KUBERNETES_SERVICE_PORT", "https", 1);
  CHECK(in_cluster_access(root.path.string()).error().code == Errc::malformed);
}
