/* lexer.h: cuts a template into plain text and the tokens of its tags.
 *
 * White space around tags goes as trim_blocks and lstrip_blocks say: the newline after a block tag
 * or comment is dropped, and the blanks before one that begins its line; `-` drops all white space
 * on its side, `+` keeps it. "\r\n" and "\r" are read as "\n", and the newline that ends the
 * template is dropped. */
#ifndef COMPUTE_TEMPLATE_LEXER_H
#define COMPUTE_TEMPLATE_LEXER_H

#include "compute/template/value.h"

enum token_type {
	TOKEN_TEXT, /* between tags; never empty */
	TOKEN_PRINT,
	TOKEN_PRINT_END, /* {{ }} */
	TOKEN_BLOCK,
	TOKEN_BLOCK_END, /* {% %} */
	TOKEN_NAME,
	TOKEN_CONSTANT, /* number or string */
	TOKEN_SIGN,     /* operator or bracket */
	TOKEN_END
};

enum sign {
	SIGN_ADD,
	SIGN_SUBTRACT,
	SIGN_DIVIDE,
	SIGN_FLOOR_DIVIDE,
	SIGN_MULTIPLY,
	SIGN_POWER,
	SIGN_MODULO,
	SIGN_CONCAT,
	SIGN_EQUAL,
	SIGN_UNEQUAL,
	SIGN_GREATER,
	SIGN_GREATER_EQUAL,
	SIGN_LESS,
	SIGN_LESS_EQUAL,
	SIGN_ASSIGN,
	SIGN_DOT,
	SIGN_COLON,
	SIGN_PIPE,
	SIGN_COMMA,
	SIGN_ROUND,
	SIGN_ROUND_END,
	SIGN_SQUARE,
	SIGN_SQUARE_END,
	SIGN_CURLY,
	SIGN_CURLY_END,
	SIGN_NONE
};

struct token {
	enum token_type type;
	enum sign sign;
	uint32_t line;
	const char *text; /* of names, within the source */
	uint32_t size;
	struct value value; /* of texts and constants; strings are frozen */
};

struct lexer {
	struct run *run;
	const char *source; /* newlines made "\n" */
	uint32_t size, at;
	uint32_t line;
	bool line_start;       /* what was read last ended a line */
	enum token_type tag;   /* TOKEN_PRINT or TOKEN_BLOCK inside one, else TOKEN_TEXT */
	enum token_type begun; /* a tag that was met, its text told first; else TOKEN_TEXT */
	char open[128];        /* the closing brackets that are awaited in this tag */
	uint32_t n_open;
};

/* `text` is borrowed for the call only. */
void lexer_init(struct lexer *lexer, struct run *run, const char *text, size_t size);
void lexer_next(struct lexer *lexer, struct token *token);
/* As the template spells it. */
const char *lexer_sign(enum sign sign);

#endif
