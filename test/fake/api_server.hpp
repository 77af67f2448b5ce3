// A stand-in for kube-apiserver: Services, EndpointSlices and Nodes with list, watch and writes over HTTP(S),
// and the troubles that a client must live through, on demand. Its answers follow recordings of
// kube-apiserver 1.32.
//
// Beside the API, without authentication: GET /_log (requests so far, as JSON), GET /_events (the Events there
// are); POST /_control/compact, /_control/forget-events,
// /_control/drop-watches, /_control/fail?status=S&count=N[&retryAfter=S][&match=TEXT],
// /_control/watchlist?mode=on|refuse|ignore,
// /_control/token?value=T, /_control/forbid?verb=V&resource=R, /_control/allow.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <thread>

#include "daemon/config/kubeconfig.hpp"
#include "test/fake/api_events.hpp"
#include "test/fake/api_store.hpp"
#include "test/fake/certificates.hpp"

namespace httplib {
class Server;
class DataSink;
struct Request;
struct Response;
}  // namespace httplib

namespace ipvsd::fake {

enum class WatchListMode {
  on,
  refuse,  // as a server from 1.27 on whose feature gate is off: 422
  ignore,  // as an older server: a plain watch
};

struct ApiServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;  // 0: any
  bool tls = false;
  std::string certificate_pem;  // "": made by an authority of its own
  std::string key_pem;
  std::string client_ca_pem;  // not "": clients must show a certificate of this authority
  std::string token;          // "": anybody may do anything
  std::chrono::milliseconds bookmark_period{1000};
  std::uint64_t first_version = 1000;  // a server started again goes on above the versions it had: etcd remembers
  std::size_t page_limit = 0;          // not 0: a page never has more items, whatever the client wants
};

struct LoggedRequest {
  std::string method;
  std::string target;  // path and query as sent
  std::string user_agent;
  std::string accept_encoding;
  int status = 0;  // 0: not answered yet
};

// All calls from any thread.
class ApiServer {
 public:
  // Listens when it returns. Throws std::runtime_error if it cannot.
  explicit ApiServer(ApiServerOptions options = {});
  ~ApiServer();

  [[nodiscard]] int port() const { return port_; }
  // How to reach this server, with its authority and token.
  [[nodiscard]] ApiAccess access() const;
  [[nodiscard]] const std::string& ca_pem() const { return ca_pem_; }
  [[nodiscard]] const KeyPair& certificate() const { return certificate_; }
  [[nodiscard]] std::string kubeconfig(const std::string& ca_file) const;

  ApiStore& store() { return store_; }
  // Creates or replaces an object, or each item of a List, by its kind and metadata. Error: malformed.
  Result<void> apply(const Json& object);

  void drop_watches();  // without the end of the chunked body, as when a connection breaks
  // The next `count` requests whose target contains `match` get `status`.
  void fail_next(int status, int count, std::optional<int> retry_after = std::nullopt, const std::string& match = "");
  void set_watch_list(WatchListMode mode);
  void set_token(const std::string& token);
  void forbid(const std::string& verb, const std::string& plural);
  void allow_all();

  [[nodiscard]] ApiEvents& events() { return events_; }
  [[nodiscard]] std::vector<LoggedRequest> log() const;
  // Waits until `count` requests with `text` in "METHOD target" have been answered; of a watch, until it is
  // open. False: not by the deadline.
  [[nodiscard]] bool wait_for_requests(const std::string& text, std::size_t count, std::chrono::seconds deadline) const;

 private:
  struct Watch;
  struct Failure {
    int status;
    int count;
    std::optional<int> retry_after;
    std::string match;
  };

  void listen();
  void serve(const httplib::Request& request, httplib::Response& response);
  Reply answer(const httplib::Request& request, httplib::Response& response);
  Reply control(const httplib::Request& request);
  [[nodiscard]] Json log_json() const;
  Reply write_event(const httplib::Request& request);
  Reply read(const ObjectPath& path, const httplib::Request& request, httplib::Response& response);
  Reply write(const ObjectPath& path, const httplib::Request& request);
  std::optional<Reply> refuse_initial_events(const httplib::Request& request) const;
  Reply start_watch(const ObjectPath& path, const httplib::Request& request, httplib::Response& response,
                    Selector selector);
  bool feed_watch(Watch& watch, httplib::DataSink& sink);
  [[nodiscard]] std::optional<Reply> obstacle(const httplib::Request& request);
  [[nodiscard]] std::optional<Reply> forbidden(const Resource& resource, const std::string& verb) const;
  [[nodiscard]] std::size_t add_to_log(const httplib::Request& request);

  const ApiServerOptions options_;
  std::string ca_pem_;
  KeyPair certificate_;
  ApiStore store_;
  ApiEvents events_;
  std::unique_ptr<httplib::Server> server_;
  int port_ = 0;

  mutable std::mutex mutex_;  // for the following
  mutable std::condition_variable logged_;
  std::vector<LoggedRequest> log_;
  std::vector<Failure> failures_;
  std::set<std::pair<std::string, std::string>> forbidden_;
  WatchListMode watch_list_ = WatchListMode::on;
  std::string token_;
  std::uint64_t dropped_ = 0;  // generation of watches
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace ipvsd::fake
