#include "test/fake/api_server.hpp"

#include <fmt/format.h>
#include <httplib.h>
#include <openssl/pem.h>

#include <algorithm>
#include <stdexcept>

namespace ipvsd::fake {
namespace {

// Each open watch holds a thread of the server.
constexpr std::size_t server_threads = 96;

bool set_up_tls(SSL_CTX& context, const KeyPair& own, const std::string& client_ca_pem) {
  const auto memory = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
  BIO* bio = memory(own.certificate_pem);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = memory(own.key_pem);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  const bool fine = certificate != nullptr && key != nullptr && SSL_CTX_use_certificate(&context, certificate) == 1 &&
                    SSL_CTX_use_PrivateKey(&context, key) == 1;
  X509_free(certificate);
  EVP_PKEY_free(key);
  if (!fine || client_ca_pem.empty()) return fine;

  bio = memory(client_ca_pem);
  X509* authority = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  const bool added = authority != nullptr && X509_STORE_add_cert(SSL_CTX_get_cert_store(&context), authority) == 1;
  X509_free(authority);
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return added;
}

Reply canned(int status) {
  switch (status) {
    case 401: return refuse(401, "Unauthorized", "Unauthorized");
    case 410: return refuse(410, "Expired", "The resourceVersion for the provided list is too old.");
    case 429: return refuse(429, "TooManyRequests", "Too many requests, please try again later.");
    case 503: return refuse(503, "ServiceUnavailable", "the server is currently unable to handle the request");
    default: return refuse(status, "InternalError", "an error made on demand");
  }
}

int number_param(const httplib::Request& request, const char* name, int otherwise) {
  return request.has_param(name) ? std::atoi(request.get_param_value(name).c_str()) : otherwise;
}

}  // namespace

ApiServer::ApiServer(ApiServerOptions options)
    : options_(std::move(options)), store_(options_.first_version), token_(options_.token) {
  certificate_ = {options_.certificate_pem, options_.key_pem};
  if (options_.tls && certificate_.certificate_pem.empty()) {
    CertificateAuthority authority;
    ca_pem_ = authority.pem();
    certificate_ = authority.issue("kube-apiserver", {"DNS:localhost", "DNS:kubernetes.default.svc", "IP:127.0.0.1",
                                                      "IP:0:0:0:0:0:0:0:1", "IP:10.96.0.1"});
  }
  if (options_.tls)
    server_ = std::make_unique<httplib::SSLServer>(
        [this](SSL_CTX& context) { return set_up_tls(context, certificate_, options_.client_ca_pem); });
  else
    server_ = std::make_unique<httplib::Server>();
  if (!server_->is_valid()) throw std::runtime_error("API server stand-in: certificate or key cannot be used");
  listen();
}

void ApiServer::listen() {
  server_->new_task_queue = [] { return new httplib::ThreadPool(server_threads); };
  server_->set_tcp_nodelay(true);
  const auto handle = [this](const httplib::Request& request, httplib::Response& response) {
    serve(request, response);
  };
  server_->Get(".*", handle).Post(".*", handle).Put(".*", handle).Patch(".*", handle).Delete(".*", handle);
  if (options_.port == 0)
    port_ = server_->bind_to_any_port(options_.host);
  else
    port_ = server_->bind_to_port(options_.host, options_.port) ? options_.port : -1;
  if (port_ <= 0)
    throw std::runtime_error(fmt::format("API server stand-in: cannot listen on {}:{}", options_.host, options_.port));
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  // stop() does nothing to a server that does not run yet.
  while (!server_->is_running()) std::this_thread::yield();
}

ApiServer::~ApiServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  server_->stop();
  thread_.join();
}

ApiAccess ApiServer::access() const {
  const std::lock_guard lock(mutex_);
  ApiAccess access;
  access.host = options_.host;
  access.port = static_cast<std::uint16_t>(port_);
  access.tls = options_.tls;
  access.ca.inline_pem = ca_pem_;
  access.token = token_;
  return access;
}

std::string ApiServer::kubeconfig(const std::string& ca_file) const {
  const std::lock_guard lock(mutex_);
  const std::string host = options_.host.find(':') == std::string::npos ? options_.host : "[" + options_.host + "]";
  return fmt::format(
      "apiVersion: v1\nkind: Config\nclusters:\n- name: stand-in\n  cluster:\n    server: {}://{}:{}\n{}"
      "users:\n- name: stand-in\n  user: {}\ncontexts:\n- name: stand-in\n  context:\n    cluster: stand-in\n"
      "    user: stand-in\ncurrent-context: stand-in\n",
      options_.tls ? "https" : "http", host, port_,
      options_.tls ? fmt::format("    certificate-authority: {}\n", ca_file) : "",
      token_.empty() ? "{}" : fmt::format("\n    token: {}", token_));
}

Result<void> ApiServer::apply(const Json& object) try {
  if (!object.is_object() || !object.contains("kind")) return fail(Errc::malformed, "not a Kubernetes object");
  if (object.contains("items")) {
    // The items of a ServiceList have no kind of their own.
    const std::string list_kind = object["kind"];
    for (auto item : object["items"]) {
      if (!item.contains("kind")) item["kind"] = list_kind.substr(0, list_kind.rfind("List"));
      if (auto applied = apply(item); !applied) return applied;
    }
    return {};
  }
  const Resource* resource = resource_of_kind(object["kind"]);
  if (resource == nullptr || !object.contains("metadata"))
    return fail(Errc::malformed, "not an object that is served: " + object["kind"].dump());
  ObjectPath path{resource, "", object["metadata"].value("name", ""), ""};
  if (resource->namespaced) path.ns = object["metadata"].value("namespace", "default");
  Json unversioned = object;
  unversioned["metadata"].erase("resourceVersion");
  auto reply = store_.create(path, unversioned);
  if (reply.status == 409) {
    reply = store_.replace(path, unversioned);
    path.subresource = "status";
    if (reply.status == 200 && object.contains("status")) reply = store_.replace(path, unversioned);
  }
  if (reply.status >= 300) return fail(Errc::malformed, reply.body.value("message", ""));
  return {};
} catch (const Json::exception& thrown) {
  return fail(Errc::malformed, thrown.what());
}

void ApiServer::serve(const httplib::Request& request, httplib::Response& response) {
  const std::size_t index = add_to_log(request);
  Reply reply;
  try {
    reply = answer(request, response);
  } catch (const Json::exception& thrown) {
    reply = refuse(400, "BadRequest", thrown.what());
  }
  response.status = reply.status;
  response.set_header("Cache-Control", "no-cache, private");
  if (reply.retry_after) response.set_header("Retry-After", std::to_string(*reply.retry_after));
  if (!reply.body.is_null()) response.set_content(reply.body.dump(), "application/json");
  const std::lock_guard lock(mutex_);
  log_[index].status = reply.status;
  logged_.notify_all();
}

Reply ApiServer::answer(const httplib::Request& request, httplib::Response& response) {
  if (request.path == "/_log") return {200, log_json(), std::nullopt};
  if (request.path == "/_events") return {200, Json(events_.all()), std::nullopt};
  if (request.path.rfind("/_control/", 0) == 0) return control(request);
  if (auto reply = obstacle(request)) return *reply;
  if (ApiEvents::serves(request.path)) return write_event(request);
  const auto path = parse_path(request.path);
  if (!path) return refuse(404, "NotFound", "the server could not find the requested resource", Json::object());
  return request.method == "GET" || request.method == "HEAD" ? read(*path, request, response) : write(*path, request);
}

std::optional<Reply> ApiServer::obstacle(const httplib::Request& request) {
  const std::lock_guard lock(mutex_);
  if (!token_.empty() && request.get_header_value("Authorization") != "Bearer " + token_) return canned(401);
  for (auto failure = failures_.begin(); failure != failures_.end(); ++failure) {
    if (request.target.find(failure->match) == std::string::npos) continue;
    Reply reply = canned(failure->status);
    reply.retry_after = failure->retry_after;
    if (--failure->count <= 0) failures_.erase(failure);
    return reply;
  }
  return std::nullopt;
}

std::optional<Reply> ApiServer::forbidden(const Resource& resource, const std::string& verb) const {
  const std::lock_guard lock(mutex_);
  if (forbidden_.count({verb, resource.plural}) == 0) return std::nullopt;
  Json details = Json::object();
  if (!resource.group.empty()) details["group"] = resource.group;
  details["kind"] = resource.plural;
  const std::string name = resource.plural + (resource.group.empty() ? "" : "." + resource.group);
  return refuse(
      403, "Forbidden",
      fmt::format("{} is forbidden: User \"system:kube-proxy\" cannot {} resource \"{}\" in API group \"{}\" at "
                  "the cluster scope",
                  name, verb, resource.plural, resource.group),
      details);
}

Reply ApiServer::read(const ObjectPath& path, const httplib::Request& request, httplib::Response& response) {
  const std::string watch = request.get_param_value("watch");
  const bool watching = path.name.empty() && (watch == "true" || watch == "1");
  const std::string verb = !path.name.empty() ? "get" : watching ? "watch" : "list";
  if (auto reply = forbidden(*path.resource, verb)) return *reply;
  if (!path.name.empty()) return store_.get(path);

  auto selector = Selector::parse(request.get_param_value("labelSelector"), request.get_param_value("fieldSelector"));
  if (!selector) return refuse(400, "BadRequest", selector.error().context);
  if (watching) return start_watch(path, request, response, std::move(*selector));
  ListQuery query;
  query.ns = path.ns;
  query.selector = std::move(*selector);
  query.limit = static_cast<std::size_t>(std::max(0, number_param(request, "limit", 0)));
  if (options_.page_limit > 0 && query.limit > 0) query.limit = std::min(query.limit, options_.page_limit);
  query.continue_token = request.get_param_value("continue");
  query.resource_version = request.get_param_value("resourceVersion");
  query.version_match = request.get_param_value("resourceVersionMatch");
  return store_.list(*path.resource, query);
}

Reply ApiServer::write(const ObjectPath& path, const httplib::Request& request) {
  const std::string verb = request.method == "POST"    ? "create"
                           : request.method == "PUT"   ? "update"
                           : request.method == "PATCH" ? "patch"
                                                       : "delete";
  if (auto reply = forbidden(*path.resource, verb)) return *reply;
  if ((verb == "create") != path.name.empty())
    return refuse(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
  if (verb == "delete") return store_.remove(path);
  Json object = Json::parse(request.body);
  // A Service gets its status through the subresource only.
  if (verb == "create" && path.resource->kind == "Service" && object.is_object()) object.erase("status");
  if (verb == "patch") return store_.merge(path, object);
  return verb == "create" ? store_.create(path, object) : store_.replace(path, object);
}

Reply ApiServer::write_event(const httplib::Request& request) {
  static const Resource resource{"events", "Event", "events.k8s.io", "events.k8s.io/v1", "/apis/events.k8s.io/v1"};
  const bool create = request.method == "POST";
  if (!create && request.method != "PATCH")
    return refuse(405, "MethodNotAllowed", "only POST and PATCH are served here");
  if (auto reply = forbidden(resource, create ? "create" : "patch")) return *reply;
  if (!create && request.get_header_value("Content-Type") != "application/merge-patch+json")
    return refuse(415, "UnsupportedMediaType", "the body of the request was in an unknown format");
  const Json body = Json::parse(request.body);
  return create ? events_.create(request.path, body) : events_.patch(request.path, body);
}

Reply ApiServer::control(const httplib::Request& request) {
  const std::string what = request.path.substr(std::string_view("/_control/").size());
  const auto param = [&request](const char* name) { return request.get_param_value(name); };
  if (what == "compact") {
    store_.compact();
  } else if (what == "forget-events") {
    events_.clear();
  } else if (what == "drop-watches") {
    drop_watches();
  } else if (what == "fail") {
    std::optional<int> retry_after;
    if (request.has_param("retryAfter")) retry_after = number_param(request, "retryAfter", 0);
    fail_next(number_param(request, "status", 500), number_param(request, "count", 1), retry_after, param("match"));
  } else if (what == "watchlist") {
    const std::string mode = param("mode");
    set_watch_list(mode == "refuse"   ? WatchListMode::refuse
                   : mode == "ignore" ? WatchListMode::ignore
                                      : WatchListMode::on);
  } else if (what == "token") {
    set_token(param("value"));
  } else if (what == "forbid") {
    forbid(param("verb"), param("resource"));
  } else if (what == "allow") {
    allow_all();
  } else {
    return refuse(404, "NotFound", "no such control: " + what);
  }
  return {200, {{"status", "Success"}}, std::nullopt};
}

void ApiServer::fail_next(int status, int count, std::optional<int> retry_after, const std::string& match) {
  const std::lock_guard lock(mutex_);
  failures_.push_back({status, count, retry_after, match});
}

void ApiServer::set_watch_list(WatchListMode mode) {
  const std::lock_guard lock(mutex_);
  watch_list_ = mode;
}

void ApiServer::set_token(const std::string& token) {
  const std::lock_guard lock(mutex_);
  token_ = token;
}

void ApiServer::forbid(const std::string& verb, const std::string& plural) {
  const std::lock_guard lock(mutex_);
  forbidden_.insert({verb, plural});
}

void ApiServer::allow_all() {
  const std::lock_guard lock(mutex_);
  forbidden_.clear();
}

std::size_t ApiServer::add_to_log(const httplib::Request& request) {
  const std::lock_guard lock(mutex_);
  log_.push_back({request.method, request.target, request.get_header_value("User-Agent"),
                  request.get_header_value("Accept-Encoding"), 0});
  return log_.size() - 1;
}

std::vector<LoggedRequest> ApiServer::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

Json ApiServer::log_json() const {
  Json all = Json::array();
  for (const auto& entry : log())
    all.push_back({{"method", entry.method},
                   {"target", entry.target},
                   {"userAgent", entry.user_agent},
                   {"status", entry.status}});
  return all;
}

bool ApiServer::wait_for_requests(const std::string& text, std::size_t count, std::chrono::seconds deadline) const {
  std::unique_lock lock(mutex_);
  return logged_.wait_for(lock, deadline, [&] {
    const auto hit = [&text](const LoggedRequest& entry) {
      return entry.status != 0 && (entry.method + " " + entry.target).find(text) != std::string::npos;
    };
    return static_cast<std::size_t>(std::count_if(log_.begin(), log_.end(), hit)) >= count;
  });
}

}  // namespace ipvsd::fake
