/* plaindump: writes what is about to be sealed to a file, so that a test can look for it on the wire
 * (and see that its search does find it before sealing). Put before libsodium with LD_PRELOAD; the
 * daemon itself has no such switch. PLAINDUMP_FILE names the file. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

typedef int seal_function(unsigned char *c, unsigned char *mac, unsigned long long *mac_size,
			  const unsigned char *m, unsigned long long m_size,
			  const unsigned char *ad, unsigned long long ad_size,
			  const unsigned char *nsec, const unsigned char *nonce,
			  const unsigned char *key);
seal_function crypto_aead_chacha20poly1305_ietf_encrypt_detached;

static void dump(const unsigned char *bytes, unsigned long long size)
{
	const char *path = getenv("PLAINDUMP_FILE");
	const int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0)
		return;
	if (write(fd, bytes, size) != (ssize_t)size)
		abort(); /* a dump with holes would prove nothing */
	close(fd);
}

int crypto_aead_chacha20poly1305_ietf_encrypt_detached(
	unsigned char *c, unsigned char *mac, unsigned long long *mac_size, const unsigned char *m,
	unsigned long long m_size, const unsigned char *ad, unsigned long long ad_size,
	const unsigned char *nsec, const unsigned char *nonce, const unsigned char *key)
{
	seal_function *real = (seal_function *)dlsym(
		RTLD_NEXT, "crypto_aead_chacha20poly1305_ietf_encrypt_detached");
	dump(m, m_size);
	return real(c, mac, mac_size, m, m_size, ad, ad_size, nsec, nonce, key);
}
