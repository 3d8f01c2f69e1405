//! With how little the program does its whole job: through a proxy that lets through nothing but what it
//! needs, and as a user who may nothing but use the engine's socket.

mod allowlist;
mod compose;
mod doctor;
mod filtered;
mod user;
