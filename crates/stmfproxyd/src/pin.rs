//! Which peer is accepted: the one whose certificate is pinned, and nobody else.
//!
//! A pinned certificate is compared in full (DER). If it is a CA, certificates it issued are accepted, too. Dates and names
//! are not looked at for a pinned certificate; that the peer has the key is proved by the TLS 1.3 handshake signature,
//! verified by the crypto provider as usual. There is no other mode.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    RootCertStore, ServerConfig, SignatureScheme, version::TLS13,
};
use std::sync::Arc;

/// Spoken inside TLS; another protocol on the same certificate does not get in.
const ALPN: &[u8] = b"lintel-proxy/1";

/// This node's certificate and key, and what the peer's must be.
#[derive(Debug)]
pub struct Credentials {
    /// Certificate chain, the node's own first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Key of the first.
    pub key: PrivateKeyDer<'static>,
    /// Certificates the peer may show, or their CA.
    pub pinned: Vec<CertificateDer<'static>>,
}

/// TLS settings for either side of a connection.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For the side that connects.
    pub client: Arc<ClientConfig>,
    /// For the side that listens.
    pub server: Arc<ServerConfig>,
}

impl Tls {
    /// TLS 1.3 only, both sides with certificate, no resumption.
    ///
    /// # Errors
    /// The certificate does not go with the key, or a CA cannot be used.
    pub fn new(credentials: &Credentials) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pin = Arc::new(Pin::new(&credentials.pinned, &provider)?);
        let (chain, key) = (&credentials.chain, &credentials.key);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&pin) as Arc<dyn ServerCertVerifier>)
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![ALPN.to_vec()];
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(pin)
            .with_single_cert(chain.clone(), key.clone_key())?;
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
        })
    }
}

/// The verifier for both sides.
#[derive(Debug)]
struct Pin {
    exact: Vec<CertificateDer<'static>>,
    authorities: Arc<RootCertStore>,
    issued_clients: Option<Arc<dyn ClientCertVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pin {
    fn new(pinned: &[CertificateDer<'static>], provider: &Arc<CryptoProvider>) -> anyhow::Result<Self> {
        let mut authorities = RootCertStore::empty();
        for certificate in pinned.iter().filter(|c| is_authority(c)) {
            authorities.add(certificate.clone())?;
        }
        let authorities = Arc::new(authorities);
        let issued_clients = if authorities.is_empty() {
            None
        } else {
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::clone(&authorities), Arc::clone(provider));
            Some(builder.build()?)
        };
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self {
            exact: pinned.to_vec(),
            authorities,
            issued_clients,
            algorithms,
        })
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.exact
            .iter()
            .any(|pinned| pinned.as_ref() == certificate.as_ref())
    }
}

const REFUSED: Error = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
/// Never reached: TLS 1.2 is not even compiled in.
const TLS_12: Error = Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13);

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_pinned(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        if self.authorities.is_empty() {
            return Err(REFUSED);
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.authorities,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS_12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pin {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: whoever does not know what to show has nothing to show.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.is_pinned(end_entity) {
            return Ok(ClientCertVerified::assertion());
        }
        match &self.issued_clients {
            None => Err(REFUSED),
            Some(verifier) => verifier.verify_client_cert(end_entity, intermediates, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS_12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate the administrator has pinned says `cA TRUE` in its basic constraints (RFC 5280 §4.2.1.9). Its
/// bytes are trusted, so the extension is found by its object identifier, without a parser.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    const BASIC_CONSTRAINTS: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x13];
    const CRITICAL: [u8; 3] = [0x01, 0x01, 0xff];
    const CA: [u8; 3] = [0x01, 0x01, 0xff];
    let der = certificate.as_ref();
    der.windows(BASIC_CONSTRAINTS.len())
        .enumerate()
        .any(|(at, window)| {
            if window != BASIC_CONSTRAINTS {
                return false;
            }
            let rest = &der[at + BASIC_CONSTRAINTS.len()..];
            let value = rest.strip_prefix(&CRITICAL).unwrap_or(rest);
            matches!(value, [0x04, _, 0x30, _, tail @ ..] if tail.starts_with(&CA))
        })
}
