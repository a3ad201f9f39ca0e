/* plaindump: writes what is about to be sealed to a file, so that a test can look for it on the wire
 * (and see that its search does find it before sealing), or look at it. Put before libsodium with
 * LD_PRELOAD; the daemon itself has no such switch. PLAINDUMP_FILE names the file. Each piece has
 * its size before it, u32 little-endian. With PLAINDUMP_TYPE only pieces that begin with this byte
 * are written: a record's first byte is its message's type (proto/channel.h). */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

typedef int seal_function(unsigned char *c, unsigned char *mac, unsigned long long *mac_size,
			  const unsigned char *m, unsigned long long m_size,
			  const unsigned char *ad, unsigned long long ad_size,
			  const unsigned char *nsec, const unsigned char *nonce,
			  const unsigned char *key);
seal_function crypto_aead_chacha20poly1305_ietf_encrypt_detached;

static int is_wanted(const unsigned char *bytes, unsigned long long size)
{
	const char *type = getenv("PLAINDUMP_TYPE");
	return !type || (size > 0 && bytes[0] == strtoul(type, NULL, 10));
}

static void dump(const unsigned char *bytes, unsigned long long size)
{
	const char *path = getenv("PLAINDUMP_FILE");
	if (!path || !is_wanted(bytes, size))
		return;
	const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	const uint32_t told = (uint32_t)size;
	const struct iovec parts[] = { { (void *)&told, sizeof(told) }, { (void *)bytes, size } };
	if (writev(fd, parts, 2) != (ssize_t)(sizeof(told) + size)) /* threads do not mix */
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
