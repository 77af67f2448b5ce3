#include "daemon/source/api_tls.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>

#include "os/fd.hpp"
#include "os/file.hpp"

namespace ipvsd {
namespace {

constexpr std::size_t pem_limit = 1U << 20;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

std::string name_of(const PemSource& source, std::string_view what) {
  return fmt::format("{} {}", what, source.path.empty() ? "(inline)" : source.path);
}

// Also takes what OpenSSL thinks of it off this thread's error queue.
std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

Result<Bio> open_pem(const PemSource& source, std::string_view what) {
  const auto text = read_pem(source);
  if (!text) return fail(text.error().within(what));
  Bio bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), text->data(), static_cast<int>(text->size()));
  return bio;
}

Result<void> trust(SSL_CTX* context, const PemSource& ca) {
  if (ca.empty()) {
    SSL_CTX_set_default_verify_paths(context);
    return {};
  }
  const auto bio = open_pem(ca, "certificate authority");
  if (!bio) return fail(bio.error());
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  std::size_t count = 0;
  while (const Certificate certificate{PEM_read_bio_X509(bio->get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(store, certificate.get());
    ++count;
  }
  ERR_clear_error();
  if (count == 0) return fail(Errc::malformed, name_of(ca, "certificate authority") + ": no PEM certificate in it");
  return {};
}

Result<void> present(SSL_CTX* context, const ApiAccess& access) {
  if (access.client_certificate.empty()) return {};
  const auto chain = open_pem(access.client_certificate, "client certificate");
  if (!chain) return fail(chain.error());
  const Certificate leaf{PEM_read_bio_X509(chain->get(), nullptr, nullptr, nullptr)};
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1)
    return fail(Errc::malformed,
                fmt::format("{}: {}", name_of(access.client_certificate, "client certificate"), openssl_reason()));
  while (const Certificate next{PEM_read_bio_X509(chain->get(), nullptr, nullptr, nullptr)})
    SSL_CTX_add1_chain_cert(context, next.get());
  ERR_clear_error();

  const auto text = open_pem(access.client_key, "client key");
  if (!text) return fail(text.error());
  // Without a callback that refuses, OpenSSL asks the terminal for the password of an encrypted key.
  const auto no_password = [](char*, int, int, void*) { return -1; };
  const Key key{PEM_read_bio_PrivateKey(text->get(), nullptr, no_password, nullptr)};
  if (!key || SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    return fail(Errc::malformed, fmt::format("{}: {}", name_of(access.client_key, "client key"), openssl_reason()));
  return {};
}

extern "C" int note_verify_error(int accepted, X509_STORE_CTX* store) {
  if (accepted == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* text = static_cast<std::string*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  *text = X509_verify_cert_error_string(X509_STORE_CTX_get_error(store));
  return 0;
}

void expect_name(SSL_CTX* context, const std::string& name) {
  X509_VERIFY_PARAM* wanted = SSL_CTX_get0_param(context);
  // As Go's crypto/tls: names only from subjectAltName, and any certificate of the bundle is an anchor.
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_PARTIAL_CHAIN);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1) return;
  ERR_clear_error();
  X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size());
}

}  // namespace

Result<std::string> read_pem(const PemSource& source) {
  if (source.path.empty()) {
    if (source.inline_pem.size() > pem_limit) return fail(Errc::malformed, "inline PEM is longer than 1 MiB");
    return source.inline_pem;
  }
  return read_small_file(source.path, pem_limit);
}

Result<void> configure_tls(SSL_CTX* context, const ApiAccess& access, std::string* verify_error) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_app_data(context, verify_error);
  if (auto presented = present(context, access); !presented) return presented;
  if (access.insecure_skip_verify) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, note_verify_error);
  expect_name(context, access.server_name.empty() ? access.host : access.server_name);
  return trust(context, access.ca);
}

}  // namespace ipvsd
