// HTTP to the Kubernetes API server (cpp-httplib 0.11): one request at a time, its answer handed on as it
// arrives.
//
// A process that uses this must ignore SIGPIPE: OpenSSL writes to sockets that the peer, or stop(), has shut
// down.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/config/kubeconfig.hpp"
#include "os/fd.hpp"

namespace httplib {
class ClientImpl;
}

namespace ipvsd {

struct ApiAnswer {
  int status = 0;
  std::string body;  // of a status other than 200 only, cut at 64 KiB; a metav1.Status as a rule
  std::optional<std::chrono::seconds> retry_after;  // the header Retry-After, 0..3600
};

// How a request went.
struct ApiRequest {
  std::string host;  // "10.96.0.1:443"
  std::string method;
  int status = 0;                                // 0: no answer
  std::chrono::duration<double> until_answer{};  // until its head arrived, or the request failed
};
using ApiObserver = std::function<void(const ApiRequest&)>;

// Percent-encodes everything but RFC 3986's unreserved characters.
[[nodiscard]] std::string encode_query_value(std::string_view text);

// All calls from one thread, except stop().
class ApiConnection {
 public:
  // `observe` is called once for each request, on the thread that sent it; not for what stop() ended without an answer.
  explicit ApiConnection(ApiAccess access, ApiObserver observe = {});

  // Gets pieces of the body of a 200 answer as they arrive, an empty one first, as soon as the server has
  // said 200; false ends the request.
  using Receiver = std::function<bool(std::string_view piece)>;

  // GETs "/api/...?...". Certificates and tokens are read anew for each request; a 401 is tried again at once
  // if the token file has changed meanwhile. `silence` is the longest wait for the next byte. The peer's loss
  // without a word is noticed after about 30 s (keepalive, TCP_USER_TIMEOUT) whatever `silence` is. Any
  // status the server answered is a result, not an error. Errors: disconnected (no connection, or it broke;
  // also within the body), timed_out (silence), denied (its certificate is not trusted, or files may not be
  // read), malformed, not_found (credential files), interrupted (the receiver or stop() ended it).
  [[nodiscard]] Result<ApiAnswer> get(const std::string& target, std::chrono::seconds silence, const Receiver& receive);

  // POSTs a JSON document; the answer's body is cut at 64 KiB for any status. Errors as above.
  [[nodiscard]] Result<ApiAnswer> post(const std::string& target, const std::string& json,
                                       std::chrono::seconds silence);
  // PATCHes with a JSON merge patch (RFC 7386).
  [[nodiscard]] Result<ApiAnswer> patch(const std::string& target, const std::string& json,
                                        std::chrono::seconds silence);

  // Any thread: ends the request under way, even while it connects or shakes hands, and refuses all later
  // ones (interrupted). Call it again while the request has not ended: a socket between its creation and its
  // connect cannot be shut down. Only a look-up of the server's name in DNS cannot be ended; give the server
  // as an address, as the Pod's environment does, where that matters.
  void stop();

  // "https://[fd00::1]:6443/prefix"
  [[nodiscard]] std::string server() const;
  // What is said where an answer could not be held.
  [[nodiscard]] Error no_memory() const;

 private:
  struct Exchange;
  [[nodiscard]] Result<ApiAnswer> send(const Exchange& exchange, const std::string& token);
  [[nodiscard]] Result<ApiAnswer> send_authorised(const Exchange& exchange);
  [[nodiscard]] Result<std::string> read_token() const;
  [[nodiscard]] Error explain(int httplib_error, bool answered, const std::string& verify_error) const;
  void prepare_socket(int socket);
  [[nodiscard]] bool stopped() const;
  [[nodiscard]] std::string authority() const;

  const ApiAccess access_;
  const ApiObserver observe_;
  mutable std::mutex mutex_;
  bool stopped_ = false;
  // A duplicate of the socket in use. httplib's own stop() waits for a connect or handshake in progress, and
  // a bare number could be somebody else's descriptor by the time it is used.
  Fd socket_;
};

}  // namespace ipvsd
