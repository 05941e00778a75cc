/* module.c: the module rlua._core. */
#include "fields.inc"
#include "vm.h" /* first: Python's header asks for the system's extensions, of which is dladdr */
#ifndef _WIN32
#include <dlfcn.h>
#endif

PyObject *python;

static PyObject *core_version(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    return PyUnicode_FromString(rlua_version());
}

static PyObject *core_strerror(PyObject *Py_UNUSED(self), PyObject *args) {
    int status;
    if (!PyArg_ParseTuple(args, "i", &status)) return NULL;
    return PyUnicode_FromString(rlua_strerror(status));
}

static PyObject *core_export(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
#ifndef _WIN32  /* where modules name the DLL that they are linked with */
    Dl_info library;
    if (dladdr((void *)(uintptr_t)rlua_version, &library) == 0 ||
        dlopen(library.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL) == NULL) {
        PyErr_Format(PyExc_OSError, "librlua cannot be made global: %s", dlerror());
        return NULL;
    }
#endif
    Py_RETURN_NONE;
}

static PyObject *core_use(PyObject *Py_UNUSED(self), PyObject *module) {
    Py_XSETREF(python, Py_NewRef(module));
    Py_RETURN_NONE;
}

static PyMethodDef core_methods[] = {
    {"version", core_version, METH_NOARGS, NULL},
    {"strerror", core_strerror, METH_VARARGS, NULL},
    {"export", core_export, METH_NOARGS, NULL},
    {"use", core_use, METH_O, NULL},
    {"diff", image_diff, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT, "rlua._core", "The part of rlua that is in C.", -1, core_methods,
    NULL, NULL, NULL, NULL};

static int put(PyObject *fields, const char *name, PyObject *value) {
    int failed = value == NULL ? -1 : PyDict_SetItemString(fields, name, value);
    Py_XDECREF(value);
    return failed;
}

static int add_layout(PyObject *module) {
    PyObject *layout = PyDict_New();
    if (layout == NULL) return -1;
#define LAYOUT(type, field) \
    if (put(layout, #type "." #field, Py_BuildValue("nn", (Py_ssize_t)offsetof(type, field), \
            (Py_ssize_t)sizeof ((type *)0)->field)) < 0) return -1;
#define SIZE(type) if (put(layout, #type, PyLong_FromSize_t(sizeof(type))) < 0) return -1;
    RLUA_PY_LAYOUT(SIZE, LAYOUT)
    return put(module == NULL ? NULL : PyModule_GetDict(module), "layout", layout);
}

/* The methods of Vm that other files have. */
static int add_methods(PyMethodDef *methods) {
    for (; methods->ml_name != NULL; methods++) {
        PyObject *method = PyDescr_NewMethod(&Vm_Type, methods);
        if (put(Vm_Type.tp_dict, methods->ml_name, method) < 0) return -1;
    }
    PyType_Modified(&Vm_Type);
    return 0;
}

PyMODINIT_FUNC PyInit__core(void) {
    static PyTypeObject *const types[] = {&Vm_Type, &Proxy_Type, &Table_Type, &Function_Type,
                                          &Coroutine_Type, &Userdata_Type, &Resource_Type};
    PyObject *module = PyModule_Create(&core_module);
    if (module == NULL || PyType_Ready(&TableIter_Type) < 0) return NULL;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const char *name = strrchr(types[i]->tp_name, '.') + 1;
        if (PyType_Ready(types[i]) < 0) return NULL;
        Py_INCREF(types[i]);
        if (PyModule_AddObject(module, name, (PyObject *)types[i]) < 0) return NULL;
    }
    if (add_methods(history_methods) < 0 || add_methods(script_methods) < 0 ||
        add_methods(image_methods) < 0 || add_methods(module_methods) < 0) return NULL;
    return add_layout(module) < 0 ? NULL : module;
}
