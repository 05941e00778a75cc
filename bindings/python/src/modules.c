/* modules.c: modules in C: how one is opened, what its functions are called, and how what its
 * userdata stand for goes with an image.
 *
 * A C function is an int, its address. A block is copied for Python, and from Python: nobody has a
 * pointer into the VM when a function of a type has returned.
 *
 * Not here: which types a VM knows (resources.c), names in images (images.c). */
#include "vm.h"

/* Functions */

lua_CFunction c_function(PyObject *name, PyObject *address, const char **text) {
    void *place = NULL;
    Py_ssize_t length;
    if (!PyUnicode_Check(name) || !PyLong_Check(address))
        PyErr_Format(PyExc_TypeError, "C function %R: a name is a str, an address an int", name);
    else if ((*text = PyUnicode_AsUTF8AndSize(name, &length)) == NULL) ;
    else if (strlen(*text) != (size_t)length)
        vm_refuse(RLUA_BAD_ARG, "the name of a C function has no NUL");
    else if ((place = PyLong_AsVoidPtr(address)) == NULL && !PyErr_Occurred())
        PyErr_Format(PyExc_ValueError, "the address of the C function %R is NULL", name);
    return (lua_CFunction)(uintptr_t)place;
}

int vm_note_c_function(Vm *vm, PyObject *name, PyObject *address) {
    if (vm->c_names == NULL && (vm->c_names = PyDict_New()) == NULL) return -1;
    return PyDict_SetItem(vm->c_names, name, address);
}

int vm_name_functions(Vm *vm, lua_State *L, PyObject *c_functions) {
    PyObject *name, *address;
    const char *text;
    Py_ssize_t at = 0;
    while (PyDict_Next(c_functions, &at, &name, &address)) {
        lua_CFunction function = c_function(name, address, &text);
        if (function == NULL) return -1;
        int status = rlua_register(L, text, function);
        if (status != RLUA_OK) {
            vm_fail(vm, status);
            return -1;
        }
        if (vm_note_c_function(vm, name, address) < 0) return -1;
    }
    return 0;
}

static PyObject *name_functions(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    PyObject *c_functions;
    if (!PyArg_ParseTuple(args, "O!", &PyDict_Type, &c_functions)) return NULL;
    if (vm_enter(vm) < 0) return NULL;
    int failed = vm_name_functions(vm, vm->current, c_functions);
    vm_leave(vm);
    if (failed) return NULL;
    Py_RETURN_NONE;
}

static PyObject *function_address(PyObject *object, void *Py_UNUSED(ignored)) {
    int base;
    lua_State *L = proxy_enter((Proxy *)object, &base);
    if (L == NULL) return NULL;
    lua_CFunction function = lua_tocfunction(L, -1);
    int is_theirs = function != NULL && function != python_function;
    proxy_leave((Proxy *)object, L, base);
    if (!is_theirs) Py_RETURN_NONE;
    return PyLong_FromVoidPtr((void *)(uintptr_t)function);
}

PyGetSetDef function_getset[] = {
    {"address", function_address, NULL,
     "Where a C function lies, for State.name_functions(); None of a function in Lua.", NULL},
    {NULL, NULL, NULL, NULL, NULL}};

/* Modules */

static PyObject *open_module(PyObject *object, PyObject *args) {
    Vm *vm = (Vm *)object;
    const char *name;
    PyObject *label, *address, *module = NULL;
    if (!PyArg_ParseTuple(args, "OO", &label, &address)) return NULL;
    lua_CFunction function = c_function(label, address, &name);
    if (function == NULL || vm_enter(vm) < 0) return NULL;
    lua_State *L = vm->current;
    int base = lua_gettop(L), status = lua_checkstack(L, 8) ? RLUA_OK : vm_full();
    if (status == RLUA_OK) OUTSIDE(vm, status = rlua_requiref(L, name, function, 0));
    if (status == RLUA_OK) module = vm_read(vm, L, -1);
    else vm_raise(vm, L, status);
    lua_settop(L, base);
    vm_leave(vm);
    return module;
}

PyMethodDef module_methods[] = {
    {"_name_functions", name_functions, METH_VARARGS, NULL},
    {"_open_module", open_module, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};

/* Userdata in images */

int save_block(const void *block, size_t size, rlua_Writer writer, void *to, void *ud) {
    Kind *kind = ud;
    Back back = vm_back(kind->vm, NULL);
    kind->vm->sealed = 1;
    PyObject *saved = PyObject_CallMethod(kind->type, "_save", "y#", block, (Py_ssize_t)size);
    int failed = write_saved(kind->vm, saved, writer, to);
    kind->vm->sealed = 0;
    vm_away(kind->vm, back);
    return failed;
}

int load_block(const void *bytes, size_t length, void *block, size_t size, void *ud) {
    Kind *kind = ud;
    Back back = vm_back(kind->vm, NULL);
    Py_buffer view;
    kind->vm->sealed = 1;
    PyObject *loaded = PyObject_CallMethod(kind->type, "_load", "y#n", length == 0 ? "" : bytes,
                                           (Py_ssize_t)length, (Py_ssize_t)size);
    if (loaded != NULL && PyObject_GetBuffer(loaded, &view, PyBUF_SIMPLE) == 0) {
        if ((size_t)view.len == size) memcpy(block, view.buf, size);
        else
            PyErr_Format(PyExc_ValueError, "load of %s returned %zd bytes for a block of %zu",
                         kind->name, view.len, size);
        PyBuffer_Release(&view);
    }
    Py_XDECREF(loaded);
    int failed = PyErr_Occurred() != NULL;
    if (failed) vm_keep_failure(kind->vm);
    kind->vm->sealed = 0;
    vm_away(kind->vm, back);
    return failed;
}
