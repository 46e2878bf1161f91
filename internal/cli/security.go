package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Kafka's security.protocol says both whether to use TLS and whether to log in.
func protocol(props map[string]string) (useTLS, useSASL bool, err error) {
	switch p := strings.ToUpper(strings.TrimSpace(props["security.protocol"])); p {
	case "", "PLAINTEXT":
		return false, false, nil
	case "SSL":
		return true, false, nil
	case "SASL_PLAINTEXT":
		return false, true, nil
	case "SASL_SSL":
		return true, true, nil
	default:
		return false, false, fmt.Errorf("security.protocol is %q, but must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", p)
	}
}

// saslMechanism is how to log in, nil if security.protocol does not ask for it.
func saslMechanism(props map[string]string) (sasl.Mechanism, error) {
	_, use, err := protocol(props)
	if err != nil || !use {
		return nil, err
	}
	name := props["sasl.mechanism"]
	user, password, err := jaasCredentials(props["sasl.jaas.config"])
	if err != nil {
		return nil, err
	}
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	case "", "GSSAPI":
		return nil, errors.New("sasl.mechanism is GSSAPI (its default), which these tools do not speak: set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	}
	return nil, fmt.Errorf("sasl.mechanism is %q, which these tools do not speak: set it to PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", name)
}

var jaasOption = regexp.MustCompile(`(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"']+))`)

// jaasCredentials reads `...LoginModule required username="u" password="p";`.
func jaasCredentials(jaas string) (user, password string, err error) {
	found := map[string]string{}
	for _, m := range jaasOption.FindAllStringSubmatch(jaas, -1) {
		value := strings.NewReplacer(`\"`, `"`, `\'`, `'`, `\\`, `\`).Replace(m[2] + m[3])
		found[m[1]] = value + m[4]
	}
	user, hasUser := found["username"]
	password, hasPassword := found["password"]
	if !hasUser || !hasPassword {
		return "", "", errors.New(`sasl.jaas.config needs a user and a password, for example: org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="secret";`)
	}
	return user, password, nil
}

// tlsConfig is nil if security.protocol does not ask for TLS.
func tlsConfig(props map[string]string) (*tls.Config, error) {
	use, _, err := protocol(props)
	if err != nil || !use {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	trust, err := pemSetting(props, "ssl.truststore", "ssl.truststore.certificates")
	if err != nil {
		return nil, err
	}
	if trust != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(trust) {
			return nil, errors.New("ssl.truststore holds no certificate in PEM form")
		}
	}
	chain, err := pemSetting(props, "ssl.keystore", "ssl.keystore.certificate.chain")
	if err != nil {
		return nil, err
	}
	if chain != nil {
		key := chain
		if inline := props["ssl.keystore.key"]; inline != "" {
			key = []byte(inline)
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return nil, fmt.Errorf("the client's key and certificates in ssl.keystore cannot be used: %w (an encrypted private key has to be decrypted first: openssl pkcs8 -in key.pem -out plain.pem)", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if algorithm, set := props["ssl.endpoint.identification.algorithm"]; set && strings.TrimSpace(algorithm) == "" {
		skipHostname(config)
	}
	return config, nil
}

// skipHostname keeps the check of the certificate chain and leaves out the check of the host's name, which is what an
// empty ssl.endpoint.identification.algorithm means.
func skipHostname(config *tls.Config) {
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: config.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}

// pemSetting reads a store that is given inline or as a file, nil if it is not given. Only PEM is understood.
func pemSetting(props map[string]string, store, inline string) ([]byte, error) {
	if text := props[inline]; text != "" {
		return []byte(text), nil
	}
	path := props[store+".location"]
	if path == "" {
		return nil, nil
	}
	if kind := props[store+".type"]; !strings.EqualFold(kind, "PEM") {
		if kind == "" {
			kind = "JKS (the default)"
		}
		return nil, fmt.Errorf("%s.type is %s, but these tools read PEM only: convert the store (keytool -importkeystore -srckeystore %s -destkeystore store.p12 -deststoretype PKCS12; openssl pkcs12 -in store.p12 -nodes -out store.pem), then set %s.type=PEM and %s.location=store.pem",
			store, kind, path, store, store)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s.location: %w", store, err)
	}
	return data, nil
}
