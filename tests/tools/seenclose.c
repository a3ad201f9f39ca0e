/* seenclose: lets the thread sanitizer see what libuv closes. libuv closes descriptors by a raw system
 * call, past the sanitizer's interceptor of close. The sanitizer then takes the number, once another
 * thread got it anew, for the old descriptor still, and reports races between its two owners. Put
 * before libuv with LD_PRELOAD this makes an ordinary close of the raw one. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef long system_call(long number, ...);

long syscall(long number, ...)
{
	long arguments[6];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long); /* those that were not given are not looked at */
	va_end(list);
	if (number == SYS_close)
		return close((int)arguments[0]);
	system_call *real = (system_call *)dlsym(RTLD_NEXT, "syscall");
	return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
		    arguments[5]);
}
