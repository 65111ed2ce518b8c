/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the static program alone: libmicrohttpd's archive asks for GnuTLS, whose own
 * archive cannot be linked static (it loads PKCS#11 modules). The server is then never
 * started with TLS (listen.c refuses it), so none of these but the first is ever called.
 */
#ifdef TCPTRAIL_NO_TLS

/* At start, always: fine. */
int gnutls_global_init(void);
int gnutls_global_init(void)
{
	return 0;
}

#define ABSENT(name)                                                                               \
	int gnutls_##name(void);                                                                   \
	int gnutls_##name(void)                                                                    \
	{                                                                                          \
		return -1;                                                                         \
	}

ABSENT(alpn_set_protocols)
ABSENT(bye)
ABSENT(certificate_allocate_credentials)
ABSENT(certificate_free_credentials)
ABSENT(certificate_server_set_request)
ABSENT(certificate_set_dh_params)
ABSENT(certificate_set_retrieve_function2)
ABSENT(certificate_set_retrieve_function3)
ABSENT(certificate_set_x509_key_mem)
ABSENT(certificate_set_x509_key_mem2)
ABSENT(certificate_set_x509_trust_mem)
ABSENT(cipher_get)
ABSENT(credentials_set)
ABSENT(deinit)
ABSENT(dh_params_deinit)
ABSENT(dh_params_import_pkcs3)
ABSENT(dh_params_init)
ABSENT(global_deinit)
ABSENT(handshake)
ABSENT(init)
ABSENT(priority_deinit)
ABSENT(priority_init)
ABSENT(priority_set)
ABSENT(protocol_get_version)
ABSENT(psk_allocate_server_credentials)
ABSENT(psk_free_server_credentials)
ABSENT(psk_set_server_credentials_function)
ABSENT(record_check_pending)
ABSENT(record_get_direction)
ABSENT(record_recv)
ABSENT(record_send)
ABSENT(session_get_ptr)
ABSENT(session_set_ptr)
ABSENT(strerror)
ABSENT(transport_set_int2)

/* A pointer to a function, not a function. */
void *(*gnutls_malloc)(unsigned long size);

#endif
