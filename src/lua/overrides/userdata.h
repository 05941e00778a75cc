/* userdata.h: a block of userdata is aligned to 16 also behind user values: hosts keep vectors
 * in it. */
#ifndef rlua_userdata_h
#define rlua_userdata_h

#include "lobject.h"

#undef udatamemoffset
#define udatamemoffset(nuv) \
  ((nuv) == 0 ? offsetof(Udata0, bindata) \
              : (offsetof(Udata, uv) + sizeof(UValue) * (nuv) + 15) / 16 * 16)

#endif
