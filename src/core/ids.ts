/**
 * Identifiers: branded strings, made by parsing where text comes in and nowhere else.
 * Spec v1.19: https://spec.matrix.org/v1.19/appendices/#identifier-grammar
 */

export type UserId = string & { readonly __brand: 'UserId' };
export type RoomId = string & { readonly __brand: 'RoomId' };
export type EventId = string & { readonly __brand: 'EventId' };
export type RoomAlias = string & { readonly __brand: 'RoomAlias' };
export type ServerName = string & { readonly __brand: 'ServerName' };
