//! What JavaScript may pass. napi-rs would make `-1` and `1.5` into some `u32` and report the rest as plain errors: here
//! everything else than what is meant is a `TypeError` that names what was expected.

use std::ffi::CString;
use std::ptr;

use iroh::endpoint::VarInt;
use napi::bindgen_prelude::FromNapiValue;
use napi::{Error, Result, Status, sys};

/// Throws a `TypeError` in JavaScript. The result only unwinds to there.
pub fn type_error(env: sys::napi_env, message: &str) -> Error {
    throw(env, message, sys::napi_throw_type_error)
}

/// Throws a `RangeError` in JavaScript.
pub fn range_error(env: sys::napi_env, message: &str) -> Error {
    throw(env, message, sys::napi_throw_range_error)
}

type Throw = unsafe fn(sys::napi_env, *const std::ffi::c_char, *const std::ffi::c_char) -> sys::napi_status;

fn throw(env: sys::napi_env, message: &str, throw: Throw) -> Error {
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    // SAFETY: called on the environment's thread with texts that end in zero; it fails only while the environment ends.
    unsafe { throw(env, ptr::null(), text.as_ptr()) };
    Error::new(Status::PendingException, message.to_string())
}

/// An error that JavaScript code of the caller threw meanwhile (a getter, a proxy) goes on as it is.
fn check(status: sys::napi_status) -> Result<()> {
    match status {
        sys::Status::napi_ok => Ok(()),
        status => Err(Error::new(Status::from(status), "JavaScript refused")),
    }
}

fn type_of(env: sys::napi_env, value: sys::napi_value) -> Result<sys::napi_valuetype> {
    let mut kind = 0;
    // SAFETY: `value` is alive in the scope of the call.
    check(unsafe { sys::napi_typeof(env, value, &mut kind) })?;
    Ok(kind)
}

fn bytes_of(env: sys::napi_env, value: sys::napi_value, what: &str) -> Result<(*mut u8, usize)> {
    match typed_array(env, value, sys::TypedarrayType::uint8_array)? {
        Some(array) => Ok(array),
        None => Err(type_error(env, &format!("{what} must be a Uint8Array"))),
    }
}

/// Where its elements are, and how many; none where it is another kind of array or no array at all.
fn typed_array<T>(env: sys::napi_env, value: sys::napi_value, wanted: i32) -> Result<Option<(*mut T, usize)>> {
    let (mut is_array, mut kind, mut length, mut data) = (false, 0, 0, ptr::null_mut());
    // SAFETY: `value` is alive in the scope of the call; the array's own description is what is asked for.
    unsafe {
        check(sys::napi_is_typedarray(env, value, &mut is_array))?;
        if is_array {
            let (buffer, offset) = (ptr::null_mut(), ptr::null_mut());
            check(sys::napi_get_typedarray_info(
                env,
                value,
                &mut kind,
                &mut length,
                &mut data,
                buffer,
                offset,
            ))?;
        }
    }
    if !is_array || kind != wanted {
        return Ok(None);
    }
    // An empty or detached array may have no memory at all.
    let data = if length == 0 {
        ptr::NonNull::dangling().as_ptr()
    } else {
        data.cast()
    };
    Ok(Some((data, length)))
}

/// Bytes to take. JavaScript keeps them: they are read within the call.
pub struct Input<'a>(pub &'a [u8]);

impl FromNapiValue for Input<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (data, length) = bytes_of(env, value, "the bytes")?;
        // SAFETY: the memory belongs to an array that is alive for the call, and this thread alone runs its JavaScript. Only
        // where it is shared may another worker change bytes meanwhile: they are copied and mean nothing to us, so that worker
        // gets what it asked for, some of either, as from every other function that takes such an array.
        Ok(Self(unsafe { std::slice::from_raw_parts(data, length) }))
    }
}

/// Room to fill.
pub struct Output<'a>(pub &'a mut [u8]);

impl FromNapiValue for Output<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (data, length) = bytes_of(env, value, "the room to read into")?;
        // SAFETY: as for `Input`. Whoever takes two of them writes to one and then to the other, and reads neither.
        Ok(Self(unsafe { std::slice::from_raw_parts_mut(data, length) }))
    }
}

/// Places for lengths.
pub struct Lengths<'a>(pub &'a mut [u32]);

impl FromNapiValue for Lengths<'_> {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let Some((data, length)) = typed_array(env, value, sys::TypedarrayType::uint32_array)? else {
            return Err(type_error(env, "the lengths must be a Uint32Array"));
        };
        // SAFETY: as for `Output`.
        Ok(Self(unsafe { std::slice::from_raw_parts_mut(data, length) }))
    }
}

/// An integer of a range.
fn integer(env: sys::napi_env, value: sys::napi_value, what: &str, least: f64, most: f64) -> Result<f64> {
    let mut number = f64::NAN;
    if type_of(env, value)? == sys::ValueType::napi_number {
        // SAFETY: it is a number.
        check(unsafe { sys::napi_get_value_double(env, value, &mut number) })?;
    }
    if number.fract() != 0.0 || !(least..=most).contains(&number) {
        return Err(type_error(
            env,
            &format!("{what} must be an integer of {least} to {most}"),
        ));
    }
    Ok(number)
}

pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// An application's code for a stream or a connection.
pub struct Code(pub VarInt);

impl FromNapiValue for Code {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let code = integer(env, value, "the code", 0.0, MAX_SAFE_INTEGER as f64)?;
        Ok(Self(VarInt::from_u64(code as u64).unwrap_or(VarInt::MAX)))
    }
}

pub struct Priority(pub i32);

impl FromNapiValue for Priority {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        Ok(Self(
            integer(env, value, "the priority", i32::MIN.into(), i32::MAX.into())? as i32,
        ))
    }
}

fn text_of(env: sys::napi_env, value: sys::napi_value, what: &str) -> Result<String> {
    if type_of(env, value)? != sys::ValueType::napi_string {
        return Err(type_error(env, &format!("{what} must be a string")));
    }
    // SAFETY: it is a string.
    unsafe { String::from_napi_value(env, value) }
}

pub struct Text(pub String);

impl FromNapiValue for Text {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        text_of(env, value, "the text").map(Self)
    }
}

fn texts_of(env: sys::napi_env, value: sys::napi_value, what: &str) -> Result<Vec<String>> {
    elements(env, value, what, |element| text_of(env, element, what))
}

/// Each element is made into what it means before the next one is looked at: the length of a sparse array says nothing about
/// what is in it, so nothing is made for it in advance.
fn elements<T>(
    env: sys::napi_env,
    value: sys::napi_value,
    what: &str,
    make: impl Fn(sys::napi_value) -> Result<T>,
) -> Result<Vec<T>> {
    let (mut is_array, mut length) = (false, 0);
    // SAFETY: `value` is alive in the scope of the call, and it is an array where it is treated as one.
    unsafe {
        check(sys::napi_is_array(env, value, &mut is_array))?;
        if !is_array {
            return Err(type_error(env, &format!("{what} must be an array")));
        }
        check(sys::napi_get_array_length(env, value, &mut length))?;
    }
    let mut made = Vec::new();
    for index in 0..length {
        let (mut scope, mut element) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: as above; what is made of the element holds nothing of JavaScript's.
        unsafe {
            check(sys::napi_open_handle_scope(env, &mut scope))?;
            let one = check(sys::napi_get_element(env, value, index, &mut element)).and_then(|()| make(element));
            check(sys::napi_close_handle_scope(env, scope))?;
            made.push(one?);
        }
    }
    Ok(made)
}

/// Names of protocols. TLS gives the length of each one byte (RFC 7301 section 3.1), and a longer name would be another list.
pub struct Alpns(pub Vec<Vec<u8>>);

/// With a byte for the length of each. They are part of the first packets of a dial, of which a peer takes 16 KiB.
const MAX_ALPNS_BYTES: usize = 8192;

impl FromNapiValue for Alpns {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        alpns_of(env, value)
    }
}

fn alpns_of(env: sys::napi_env, value: sys::napi_value) -> Result<Alpns> {
    let alpns = elements(env, value, "alpns", |element| {
        let alpn = text_of(env, element, "alpns")?.into_bytes();
        match alpn.len() {
            1..=255 => Ok(alpn),
            _ => Err(type_error(env, "alpns: a protocol's name has 1 to 255 bytes")),
        }
    })?;
    if alpns.iter().map(|alpn| 1 + alpn.len()).sum::<usize>() > MAX_ALPNS_BYTES {
        return Err(type_error(
            env,
            &format!("alpns must have at most {MAX_ALPNS_BYTES} bytes together, with one more for each"),
        ));
    }
    Ok(Alpns(alpns))
}

/// An object whose properties are read one after the other.
pub struct Properties {
    pub env: sys::napi_env,
    object: sys::napi_value,
}

impl FromNapiValue for Properties {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        if type_of(env, value)? != sys::ValueType::napi_object {
            return Err(type_error(env, "an object is expected"));
        }
        Ok(Self { env, object: value })
    }
}

impl Properties {
    /// None where it is missing or undefined.
    fn get(&self, name: &str) -> Result<Option<sys::napi_value>> {
        let key = CString::new(name).unwrap_or_default();
        let mut value = ptr::null_mut();
        // SAFETY: the object is alive in the scope of the call.
        check(unsafe { sys::napi_get_named_property(self.env, self.object, key.as_ptr(), &mut value) })?;
        Ok((type_of(self.env, value)? != sys::ValueType::napi_undefined).then_some(value))
    }

    /// Refuses every other property than these: a name that is misspelt would be left out without a word.
    pub fn only(&self, known: &[&str]) -> Result<()> {
        let mut names = ptr::null_mut();
        // SAFETY: the object is alive in the scope of the call.
        check(unsafe { sys::napi_get_property_names(self.env, self.object, &mut names) })?;
        let names = texts_of(self.env, names, "the names")?;
        match names.iter().any(|name| !known.contains(&name.as_str())) {
            true => Err(self.error(&format!("there are no other options than {}", known.join(", ")))),
            false => Ok(()),
        }
    }

    pub fn error(&self, message: &str) -> Error {
        type_error(self.env, message)
    }

    pub fn integer(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>> {
        let value = self.get(name)?;
        value
            .map(|value| integer(self.env, value, name, least.into(), most.into()).map(|n| n as u32))
            .transpose()
    }

    pub fn boolean(&self, name: &str) -> Result<bool> {
        let Some(value) = self.get(name)? else { return Ok(false) };
        if type_of(self.env, value)? != sys::ValueType::napi_boolean {
            return Err(self.error(&format!("{name} must be true or false")));
        }
        // SAFETY: it is a boolean.
        unsafe { bool::from_napi_value(self.env, value) }
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        self.get(name)?.map(|value| text_of(self.env, value, name)).transpose()
    }

    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        self.get(name)?.map(|value| texts_of(self.env, value, name)).transpose()
    }

    pub fn alpns(&self, name: &str) -> Result<Option<Alpns>> {
        self.get(name)?.map(|value| alpns_of(self.env, value)).transpose()
    }

    /// One text or an array of them.
    pub fn text_or_texts(&self, name: &str) -> Result<Option<std::result::Result<String, Vec<String>>>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        if type_of(self.env, value)? == sys::ValueType::napi_string {
            return text_of(self.env, value, name).map(|text| Some(Ok(text)));
        }
        texts_of(self.env, value, name).map(|texts| Some(Err(texts)))
    }

    pub fn bytes(&self, name: &str) -> Result<Option<&[u8]>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let (data, length) = bytes_of(self.env, value, name)?;
        // SAFETY: as for `Input`.
        Ok(Some(unsafe { std::slice::from_raw_parts(data, length) }))
    }
}

/// An array of objects, each made into something.
pub fn objects<T>(
    env: sys::napi_env,
    value: sys::napi_value,
    make: impl Fn(&Properties) -> Result<T>,
) -> Result<Vec<T>> {
    elements(env, value, "the list", |element| {
        // SAFETY: the element is alive while it is made into something.
        make(&unsafe { Properties::from_napi_value(env, element) }?)
    })
}
